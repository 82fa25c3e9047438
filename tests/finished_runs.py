"""Tiny finished runs that tests share, and the command line without a process."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bisnn_pyro.cli import main
from bisnn_pyro.experiments.batch import plan
from bisnn_pyro.experiments.run import run
from tests.experiments.study_runs import curve_runs, digits_run, ebp_run, moons_runs, spikes_run
from tests.experiments.tiny import TINY


@pytest.fixture
def source(tmp_path: Path) -> str:
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return str(path)


@pytest.fixture
def config(source):
    """The tiny experiment's Bayes config, without figures."""
    return plan(source, ["bayes"], overrides=["analysis.figures=false"])[0]


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory):
    """The finished run of that config; read only."""
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "tiny.toml").write_text(TINY)
    (config,) = plan(str(folder / "tiny.toml"), ["bayes"], overrides=["analysis.figures=false"])
    return run(config, folder / "out")


@pytest.fixture
def spoilt(tiny_run, tmp_path):
    """A copy of its folder, to spoil."""
    return shutil.copytree(tiny_run.path, tmp_path / "copy" / tiny_run.path.name)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The folder of runs of two methods and two seeds, with temperatures; read only."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "tiny.toml").write_text(TINY)
    changes = ["analysis.figures=false", "analysis.noise=[]", "train.epochs=4"]
    changes.append("analysis.temperature_scaling=true")
    for config in plan(str(folder / "tiny.toml"), ["bayes", "straight-through"], [0, 1], changes):
        run(config, folder / "runs")
    return folder / "runs"


@pytest.fixture
def runs(finished, tmp_path):
    """A copy of it, to spoil."""
    return shutil.copytree(finished, tmp_path / "runs")


@pytest.fixture(scope="session")
def all_moons(tmp_path_factory):
    """Run folders on two moons for the studies, three methods seed by seed; read only."""
    return moons_runs(tmp_path_factory.mktemp("moons"), (), (0, 1))


@pytest.fixture(scope="session")
def moons(all_moons):
    """Those of the Bayes committee and of the straight-through net."""
    return [path for path in all_moons if not path.name.startswith("full-precision")]


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """A run folder on images; read only."""
    return digits_run(tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="session")
def spikes(tmp_path_factory):
    """A run folder on ready spikes; read only."""
    return spikes_run(tmp_path_factory.mktemp("spikes"))


@pytest.fixture(scope="session")
def curves(tmp_path_factory):
    """Run folders of a regression: the Bayes committee and the straight-through net; read only."""
    return curve_runs(tmp_path_factory.mktemp("curves"))


@pytest.fixture(scope="session")
def ebp(tmp_path_factory):
    """A run folder of expectation backpropagation on images; read only."""
    return ebp_run(tmp_path_factory.mktemp("ebp"))


@pytest.fixture
def bisnn(monkeypatch, capsys):
    """The command line from a user's words to its status and output, without a process of its own.

    A process takes seconds to import; those that need one (signals, what is imported when) are in test_cli.
    """

    def call(*arguments, cwd=None, **variables):
        words = ["bisnn", *map(str, arguments)]
        capsys.readouterr()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", words)
            patch.delenv("BISNN_DATA", raising=False)
            patch.delenv("BISNN_DEBUG", raising=False)
            for name, value in variables.items():
                patch.setenv(name, str(value))
            if cwd is not None:
                patch.chdir(cwd)
            with pytest.raises(SystemExit) as stopped:
                main()
        return subprocess.CompletedProcess(words, stopped.value.code, *capsys.readouterr())

    return call
