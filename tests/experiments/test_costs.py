"""Bits and spikes against counts by hand, and temperatures in a run."""

import json

import numpy as np
import pytest
import torch

import bisnn_pyro
from bisnn_pyro.analysis import fit_temperature, negative_log_likelihood, scale_temperature
from bisnn_pyro.experiments import costs
from bisnn_pyro.experiments.batch import plan
from bisnn_pyro.experiments.build import build_task
from bisnn_pyro.experiments.run import evaluate_folder, run
from bisnn_pyro.inference import encode_all

QUIET = ["analysis.figures=false", "analysis.noise=[]", "train.epochs=1"]
SYNAPSES = 8 * 8 + 8 * 8  # 2 features in 4 neurons each, two hidden layers of 8


def run_tiny(source, tmp_path, method, *overrides):
    (config,) = plan(source, [method], overrides=[*QUIET, *overrides])
    return run(config, tmp_path / method)


@pytest.mark.parametrize(
    ("method", "overrides", "bits"),
    [
        (
            "bayes",
            [],
            {"committee": 4 * SYNAPSES, "mode": SYNAPSES, "mean": 32 * SYNAPSES, "pruned": 2 * SYNAPSES},
        ),
        ("straight-through", [], {"mode": SYNAPSES}),
        ("full-precision", [], {"mode": 32 * SYNAPSES}),
        ("gaussian", [], {"committee": 4 * 32 * SYNAPSES, "mode": 32 * SYNAPSES, "mean": 32 * SYNAPSES}),
        # One bias of 32 bits a hidden unit, the members' common; a trained read-out is synapses as well.
        (
            "bayes",
            ["network.bias=true"],
            {
                "committee": 4 * SYNAPSES + 512,
                "mode": SYNAPSES + 512,
                "mean": 32 * SYNAPSES + 512,
                "pruned": 2 * SYNAPSES + 512,
            },
        ),
        ("straight-through", ["network.normalise=true"], {"mode": SYNAPSES + 16 * 64}),
        (
            "bayes",
            ["network.normalise=true"],
            {
                "committee": 4 * (SYNAPSES + 16 * 64),
                "mode": SYNAPSES + 16 * 64,
                "mean": 32 * SYNAPSES + 16 * 64,
                "pruned": 2 * SYNAPSES + 16 * 64,
            },
        ),
        (
            "straight-through",
            ["network.readout=trained", "network.credit=end-to-end"],
            {"mode": SYNAPSES + 8},
        ),
    ],
)
def test_weight_bits(source, tmp_path, method, overrides, bits):
    assert run_tiny(source, tmp_path, method, *overrides).metrics["weight_bits"] == bits


def count_spikes(fitted, x, weights):
    """All hidden spikes, point by point."""
    (block,) = encode_all(fitted.encoder, torch.as_tensor(x), fitted.config.predict.seed)
    found = fitted.model.simulate(weights, block.float()).spikes
    return sum(int(s.sum()) for s in found) / len(x)


@pytest.mark.parametrize("overrides", [[], ["network.normalise=true"], ["encoder.name=direct"]])
def test_spikes_per_inference(source, tmp_path, overrides):
    result = run_tiny(source, tmp_path, "bayes", *overrides)
    found = result.metrics["spikes_per_inference"]
    fitted = bisnn_pyro.load_run(result.path)
    x = build_task(fitted.config).test.x  # 30 points: all of them count
    assert found["mode"] == pytest.approx(count_spikes(fitted, x, fitted.guide.mode()))
    assert found["mean"] == pytest.approx(count_spikes(fitted, x, fitted.guide.mean()))
    members = fitted.guide.sample_posterior(4, seed=fitted.config.predict.seed, scheme="latin-hypercube")
    each = [count_spikes(fitted, x, {k: w[i] for k, w in members.items()}) for i in range(4)]
    assert found["committee"] == pytest.approx(4 * np.mean(each))
    assert found["mode"] > 0


def test_spikes_of_few_points_and_members_stand_for_all(source, tmp_path, monkeypatch):
    result = run_tiny(source, tmp_path, "bayes")
    fitted = bisnn_pyro.load_run(result.path)
    x = build_task(fitted.config).test.x
    monkeypatch.setattr(costs, "MAX_POINTS", 7)
    monkeypatch.setattr(costs, "MAX_MEMBERS", 2)
    monkeypatch.setattr(costs, "_CHUNK", 3)
    state = torch.get_rng_state()
    found = costs.spikes_per_inference(fitted, x)
    assert torch.equal(state, torch.get_rng_state())
    some = x[[0, 5, 10, 14, 19, 24, 29]]
    assert found["mode"] == pytest.approx(count_spikes(fitted, some, fitted.guide.mode()))
    members = fitted.guide.sample_posterior(
        2, seed=fitted.config.predict.seed, scheme="latin-hypercube", of=4
    )
    each = [count_spikes(fitted, some, {k: w[i] for k, w in members.items()}) for i in range(2)]
    assert found["committee"] == pytest.approx(4 * np.mean(each))


def test_units_that_do_not_spike_have_no_count(source, tmp_path, monkeypatch):
    result = run_tiny(source, tmp_path, "straight-through")
    fitted = bisnn_pyro.load_run(result.path)
    simulate = type(fitted.model).simulate

    def signs(self, *arguments, **settings):
        found = simulate(self, *arguments, **settings)
        return found._replace(spikes=tuple(2 * s - 1 for s in found.spikes))

    monkeypatch.setattr(type(fitted.model), "simulate", signs)
    assert costs.spikes_per_inference(fitted, np.zeros((3, 2), np.float32)) == {"mode": None}


def test_temperatures_come_from_validation_points_alone(source, tmp_path):
    result = run_tiny(source, tmp_path, "bayes", "analysis.temperature_scaling=true", "analysis.noise=[0.1]")
    metrics = json.loads((result.path / "metrics.json").read_text())
    names = [
        "committee",
        "committee-scaled",
        "mode",
        "mode-scaled",
        "mean",
        "mean-scaled",
        "pruned",
        "pruned-scaled",
    ]
    assert list(metrics["predictors"]) == list(metrics["noise"]["0.1"]) == names
    assert list(metrics["weight_bits"]) == list(metrics["spikes_per_inference"]) == names
    fitted = bisnn_pyro.load_run(result.path)
    task = build_task(fitted.config)
    assert list(fitted.predictors) == names
    for name, t in metrics["temperatures"].items():
        val = fitted.predict_scaled(task.val.x, predictor=name).mean
        assert t == pytest.approx(fit_temperature(val, task.val.y))
        test = scale_temperature(fitted.predict_scaled(task.test.x, predictor=name).mean, t)
        plain, scaled = metrics["predictors"][name], metrics["predictors"][f"{name}-scaled"]
        assert scaled["nll"] == pytest.approx(negative_log_likelihood(test, task.test.y))
        assert scaled["accuracy"] == plain["accuracy"]
    before = metrics["predictors"]
    assert evaluate_folder(result.path)["predictors"] == before


def test_no_temperatures_unless_asked_for(source, tmp_path):
    metrics = run_tiny(source, tmp_path, "straight-through").metrics
    assert "temperatures" not in metrics
    assert list(metrics["predictors"]) == ["mode"]
