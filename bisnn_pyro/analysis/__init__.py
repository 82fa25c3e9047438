"""Scores, calibration, intervals, ArviZ data, figures and tables from the arrays of a finished run.

It knows arrays (numpy, xarray, ArviZ, pandas, matplotlib) and never torch or Pyro, and imports each only when
a name is first used.  Every name is imported from here, ``from bisnn_pyro.analysis import plot_reliability``;
the packages below group the files by what they are about.  The list of names is ``__init__.pyi``, which type
checkers read too.
"""

from bisnn_pyro.lazy import lazily

__getattr__, __dir__ = lazily(globals())
