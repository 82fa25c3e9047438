"""``bisnn reproduce``: a paper's comparison from presets to tables, figures and ``README.md``."""

from bisnn_pyro.results.reproduce.performer import planned, reproduce
from bisnn_pyro.results.reproduce.plan import Settings

__all__ = ["Settings", "planned", "reproduce"]
