"""Tiny finished runs for a report, and the page about them, made once."""

import shutil

import pytest

from bisnn_pyro.experiments.batch import plan
from bisnn_pyro.experiments.report.writing import report
from bisnn_pyro.experiments.run import run
from tests.experiments.conftest import TINY

QUIET = ["analysis.figures=false", "analysis.noise=[]", "train.epochs=4"]
N_BOOT = 50


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """Two methods, two seeds, with temperatures; read only."""
    folder = tmp_path_factory.mktemp("report")
    source = folder / "tiny.toml"
    source.write_text(TINY)
    changes = [*QUIET, "analysis.temperature_scaling=true"]
    for config in plan(str(source), ["bayes", "straight-through"], [0, 1], changes):
        run(config, folder / "runs")
    return folder / "runs"


@pytest.fixture
def runs(finished, tmp_path):
    """A copy to spoil."""
    return shutil.copytree(finished, tmp_path / "runs")


@pytest.fixture(scope="session")
def page(finished, tmp_path_factory):
    """The page about the finished runs."""
    return report([finished], tmp_path_factory.mktemp("page") / "page.html", n_resamples=N_BOOT)
