"""Fixtures that tests share; `tests/analysis` also runs where torch, and so a run, is missing."""

from importlib.util import find_spec

import pytest

pytest_plugins = ["tests.finished_runs"] if find_spec("torch") else []


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--full`: trials of kills, damage and bad input at full size, `pytest -m slow --full`."""
    parser.addoption("--full", action="store_true", help="run trials of robustness at full size")


@pytest.fixture(scope="session")
def full(pytestconfig: pytest.Config) -> bool:
    """Whether trials run at full size."""
    return bool(pytestconfig.getoption("--full"))
