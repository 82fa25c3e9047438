"""Finished runs: reading them, comparing them, studying them, and reporting on them.

:class:`~bisnn_pyro.results.runs.Runs` is the noun of this package.  It knows ``experiments``, which writes
run folders, and ``analysis``, which scores and draws arrays.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bisnn_pyro.results.comparison import Comparison, compare
    from bisnn_pyro.results.finished import FinishedRun
    from bisnn_pyro.results.runs import Line, Runs
    from bisnn_pyro.results.summary import Summary, summarise

_HOME = {
    "Comparison": "comparison",
    "FinishedRun": "finished",
    "Line": "runs",
    "Runs": "runs",
    "Summary": "summary",
    "compare": "comparison",
    "summarise": "summary",
}

__all__ = ["Comparison", "FinishedRun", "Line", "Runs", "Summary", "compare", "summarise"]


def __getattr__(name: str) -> Any:
    """Import a public name at its first use."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
