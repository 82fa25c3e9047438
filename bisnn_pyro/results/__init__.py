"""Finished runs: reading them, comparing them, studying them, and reporting on them.

:class:`~bisnn_pyro.results.runs.Runs` is the noun of this package.  It knows ``experiments``, which writes
run folders, and ``analysis``, which scores and draws arrays.
"""

from bisnn_pyro.lazy import lazily

__getattr__, __dir__ = lazily(globals())
