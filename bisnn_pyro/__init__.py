"""Bayesian learning of spiking networks with binary synapses, in Pyro.

Everything is imported at its first use: ``import bisnn_pyro`` needs neither torch nor Pyro.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from bisnn_pyro.experiments.api import load_preset, load_run, run
    from bisnn_pyro.experiments.export.network import read_export

_EXPORTS = {
    "load_preset": "bisnn_pyro.experiments.api",
    "load_run": "bisnn_pyro.experiments.api",
    "read_export": "bisnn_pyro.experiments.export.network",
    "run": "bisnn_pyro.experiments.api",
}

__all__ = ["__version__", "load_preset", "load_run", "read_export", "run"]


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
