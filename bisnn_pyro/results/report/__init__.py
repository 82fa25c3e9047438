"""One HTML page about finished runs: each section reads the runs and returns what to show."""

from bisnn_pyro.results.report.page import report

__all__ = ["report"]
