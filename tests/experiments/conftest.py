"""A tiny experiment: every step of a real one in a second or two."""

import subprocess
import sys
from pathlib import Path

import pytest

from bisnn_pyro.cli import main
from bisnn_pyro.experiments.batch import plan

TINY = """
experiment = "tiny"
methods = ["bayes", "straight-through", "full-precision"]
[data]
name = "two-moons"
n_train = 24
n_val = 16
n_test = 30
[encoder]
name = "population"
n_neurons = 4
n_steps = 12
[network]
hidden = [8, 8]
burn_in = 2
gain = 3.0
[train]
epochs = 3
batch_size = 8
validation_draws = 3
[predict]
draws = 4
[analysis]
resolution = 5
noise = [0.1]
[method.bayes.rule]
lr = 0.05
[method.straight-through.rule]
name = "adam"
lr = 0.01
[method.full-precision.rule]
name = "adam"
lr = 0.01
[tune]
"rule.lr" = { low = 0.001, high = 0.1, log = true }
"""


@pytest.fixture
def source(tmp_path: Path) -> str:
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return str(path)


@pytest.fixture
def config(source):
    """The tiny experiment's Bayes config, without figures."""
    return plan(source, ["bayes"], overrides=["analysis.figures=false"])[0]


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
            patch.setattr(sys, "path", [*sys.path])
            patch.delenv("BISNN_DATA", raising=False)
            for name, value in variables.items():
                patch.setenv(name, str(value))
            if cwd is not None:
                patch.chdir(cwd)
            with pytest.raises(SystemExit) as stopped:
                main()
        return subprocess.CompletedProcess(words, stopped.value.code, *capsys.readouterr())

    return call
