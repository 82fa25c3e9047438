"""Scores, calibration, intervals, ArviZ data, figures and tables from the arrays of a finished run.

It knows arrays (numpy, xarray, ArviZ, pandas, matplotlib) and never torch or Pyro, and imports each only when
a name is first used.  Every name is imported from here, ``from bisnn_pyro.analysis import plot_reliability``;
the packages below group the files by what they are about.  The list of names is ``__init__.pyi``, which type
checkers read too.
"""

import importlib.util
import os

from bisnn_pyro.lazy import lazily

__getattr__, __dir__ = lazily(globals())


def _leave_unknown_backend() -> None:
    """Forget a notebook's matplotlib backend where it is not installed: matplotlib itself would not import.

    A notebook's child process inherits the variable.  Figures here need no backend.
    """
    module = os.environ.get("MPLBACKEND", "").partition("module://")[2]
    try:
        known = not module or importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        known = False
    if not known:
        del os.environ["MPLBACKEND"]


_leave_unknown_backend()
