"""What a prompt or a notebook shows of the short path's objects: short, and with the numbers in it."""

import numpy as np
import pytest

from bisnn_pyro.experiments.batch import plan
from bisnn_pyro.experiments.config import Table
from bisnn_pyro.experiments.fitted import _units, load_run
from bisnn_pyro.experiments.run import RunResult, run
from bisnn_pyro.inference import Prediction


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    from .tiny import TINY

    folder = tmp_path_factory.mktemp("reprs")
    source = folder / "tiny.toml"
    source.write_text(TINY)
    quiet = ["analysis.figures=false", "analysis.noise=[]", "train.epochs=1"]
    return run(plan(str(source), ["bayes"], overrides=quiet)[0], folder / "runs")


def test_run_shows_its_folder_and_scores(result):
    head, names, _, *rows = repr(result).splitlines()
    assert head == f"RunResult({str(result.path)!r}, 30 test points)"
    assert names.split()[:3] == ["predictor", "n", "accuracy"]
    shown = {**result.metrics["predictors"], "constant": result.metrics["constant"]}
    for row, (name, scores) in zip(rows, shown.items(), strict=True):
        assert row.split()[0] == name
        assert f"{scores['accuracy']:.3f}" in row


def test_interrupted_run_says_so(tmp_path):
    assert repr(RunResult(tmp_path, None)) == f"RunResult({str(tmp_path)!r}, interrupted)"


def test_posterior_shows_network_and_predictors(result):
    fitted = load_run(result.path)
    n_synapses = sum(w.numel() for w in fitted.guide.mode().values())
    assert n_synapses == 8 * 8 + 8 * 8
    assert repr(fitted).splitlines() == [
        "FittedRun(tiny: bayes, seed 0)",
        f"  network: 8 inputs -> 8 -> 8, {n_synapses} binary synapses",
        "  predictors: committee of 4, mode, mean, pruned",
    ]


def test_prediction_shows_sizes_and_first_votes():
    draws = np.full((50, 1000, 2), 0.5)
    shown = repr(Prediction(draws, path="packed"))
    assert shown.startswith("Prediction(50 members, 1000 points, probabilities of 2 classes; packed)")
    assert "0.5" in shown
    assert "1000 points" in shown.splitlines()[-1]
    assert len(shown) < 300
    assert "1 members, 2 points, means" in repr(Prediction(np.zeros((1, 2)), noise_scale=0.1))


def test_layers_in_a_word():
    assert _units(64) == "64"
    assert _units(Table({"kind": "dense", "units": 8, "recurrent": True})) == "8 recurrent"
    assert _units(Table({"kind": "conv", "channels": 16, "kernel": 5})) == "16 maps (5 x 5)"
