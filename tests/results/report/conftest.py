"""Tiny finished runs for a report, and the page about them, made once."""

import pytest

from bisnn_pyro.results.report import report

N_BOOT = 50


@pytest.fixture(scope="session")
def page(finished, tmp_path_factory):
    """The page about the finished runs."""
    return report([finished], tmp_path_factory.mktemp("page") / "page.html", n_resamples=N_BOOT)
