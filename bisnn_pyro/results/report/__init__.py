"""One HTML page about finished runs: each section reads the runs and returns its texts, tables and pictures."""

from bisnn_pyro.results.report.page import report

__all__ = ["report"]
