"""Runs that learn nothing end well and say so, with the cause; those that learn say nothing."""

import numpy as np
import pytest

from bisnn_pyro.analysis import not_learned
from bisnn_pyro.errors import ModelError
from bisnn_pyro.experiments.batch import plan
from bisnn_pyro.experiments.run import run

QUIET = ("analysis.figures=false", "analysis.noise=[]", "train.epochs=2")


def metrics_of(source, method, settings, out):
    (config,) = plan(source, [method], overrides=[*QUIET, *settings])
    return run(config, out).metrics


CASES = {
    "a huge learning rate": ("bayes", ("rule.lr=1e30", "train.kl_weight=0"), "saturated: lower rule.lr"),
    "a huge step of Adam": ("bayes", ('rule.name="adam"', "rule.lr=1e6"), "saturated: lower rule.lr"),
    "a tiny learning rate": ("bayes", ("rule.lr=1e-9",), "have not moved from their start: raise rule.lr"),
    "a cold relaxation": (
        "bayes",
        ('guide.estimator="relaxed"', "guide.temperature=1e-6"),
        "guide.temperature = 1e-06",
    ),
    "a hot one": ("bayes", ('guide.estimator="relaxed"', "guide.temperature=1e6"), "temperature = 1e+06"),
    "a heavy KL": ("bayes", ("train.kl_weight=15",), "the KL outweighs the data at train.kl_weight = 15"),
    "a point that stays": ("straight-through", ("rule.lr=1e-12",), "have not moved from their start"),
    "real weights that stay": ("full-precision", ("rule.lr=1e-12",), "have not moved from their start"),
    "a silent network": ("bayes", ("network.gain=1e-9", "train.epochs=8"), "(1) "),
}
QUICK = ("a huge learning rate", "a point that stays")


@pytest.mark.parametrize(
    "case", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in CASES]
)
def test_a_run_that_learns_nothing_says_so(case, source, tmp_path):
    method, settings, cause = CASES[case]
    (text,) = not_learned(metrics_of(source, method, settings, tmp_path))
    assert text.startswith("did not learn: no predictor is better than the constant one on the 16 validation")
    assert cause in text
    assert "(3) " in text


def test_the_command_closes_with_it_and_has_a_row_of_the_constant_predictor(source, bisnn, tmp_path):
    words = [word for setting in (*QUIET, "rule.lr=1e-12") for word in ("--set", setting)]
    done = bisnn("run", source, "--method", "straight-through", "--out", tmp_path, "--quiet", *words)
    assert done.returncode == 0, done.stderr
    closing = done.stderr.strip().splitlines()[-1]
    assert closing.startswith("straight-through-seed0 did not learn: no predictor is better")
    assert "did not learn" not in done.stdout
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["constant", "constant", "1", "0.500", "0.693"] in [row[:5] for row in rows]
    again = bisnn("evaluate", tmp_path / "straight-through-seed0")
    assert ["constant", "1", "0.500"] in [line.split()[:3] for line in again.stdout.splitlines()]


@pytest.mark.parametrize("setting", ["rule.lr=1e30", "train.kl_weight=100"])
def test_settings_that_overshoot_the_prior_are_refused(setting, source, tmp_path):
    with pytest.raises(ModelError, match=r"rule\.lr = .* is too large for train\.kl_weight = "):
        metrics_of(source, "bayes", [setting], tmp_path)
    assert not list(tmp_path.glob("*-seed0/metrics.json"))


def test_a_run_that_learns_says_nothing(source, tmp_path):
    learning = ("train.epochs=15", "data.n_val=60", "data.noise=0.02", "rule.lr=0.05")
    metrics = metrics_of(source, "straight-through", learning, tmp_path)
    assert not_learned(metrics) == []
    assert metrics["constant"]["nll"] == pytest.approx(np.log(2), abs=0.05)
    assert metrics["predictors"]["mode"]["accuracy"] > metrics["constant"]["accuracy"]


@pytest.fixture
def noise(tmp_path):
    """A file whose labels say nothing about its inputs, validation points are split off."""
    rng = np.random.default_rng(0)
    parts = {"train": 120, "test": 60}
    arrays = {f"x_{name}": rng.random((n, 5)) for name, n in parts.items()}
    np.savez(tmp_path / "noise.npz", **arrays, **{f"y_{k}": rng.integers(0, 2, n) for k, n in parts.items()})
    return tmp_path / "noise.npz"


@pytest.mark.slow
def test_labels_that_say_nothing_are_not_learned(source, noise, tmp_path):
    settings = ('data.name="npz"', f'data.path="{noise}"', "rule.lr=1e-12")
    (text,) = not_learned(metrics_of(source, "straight-through", settings, tmp_path / "runs"))
    assert "better than the constant one on the 24 validation points" in text


@pytest.mark.slow
def test_a_regression_that_learns_nothing(tmp_path):
    small = ("network.hidden=[8]", "encoder.n_steps=20", "predict.draws=3", "rule.lr=1e-12")
    (text,) = not_learned(metrics_of("curve", "full-precision", small, tmp_path))
    assert "rmse " in text


@pytest.mark.slow
def test_expectation_backpropagation_has_causes_of_its_own(noise, tmp_path):
    settings = ('data.name="npz"', f'data.path="{noise}"', "network.hidden=[20]")
    (text,) = not_learned(metrics_of("mnist-ebp", "ebp", settings, tmp_path / "runs"))
    assert "rule.lr" not in text
