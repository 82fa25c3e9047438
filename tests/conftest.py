"""Fixtures that tests share; `tests/analysis` also runs where torch, and so a run, is missing."""

from importlib.util import find_spec

pytest_plugins = ["tests.finished_runs"] if find_spec("torch") else []
