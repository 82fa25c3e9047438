"""Bayesian learning of spiking networks with binary synapses, in Pyro.

``import bisnn_pyro as bp`` has what most users need, whichever part of the package defines it: networks,
priors and likelihoods; guides, rules and the learner; presets, runs, finished runs and studies of them.  Each
name is imported at its first use, so the import itself needs neither torch nor Pyro.  ``__init__.pyi`` holds
the names, also for type checkers, and ``dir(bisnn_pyro)`` lists them.

Example:
    >>> import bisnn_pyro as bp
    >>> config = bp.load_preset("two-moons", method="bayes", seed=1)
    >>> config.experiment, config.method, config.train.batch_size
    ('two-moons', 'bayes', 40)
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

__version__ = "0.1.0"


@cache
def _homes() -> dict[str, str]:
    """Return the module that defines each public name."""
    import ast

    tree = ast.parse(Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module]
    return {alias.name: node.module for node in imports for alias in node.names if node.module}


def __getattr__(name: str) -> Any:
    """Import a public name from its module when it is first used (PEP 562)."""
    if name == "__all__":
        return __dir__()
    if name.startswith("_") or name not in _homes():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_homes()[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted(["__version__", *_homes()])
