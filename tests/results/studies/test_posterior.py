"""Posteriors, spikes and predictive densities of runs, against numbers taken another way."""

import json

import numpy as np
import pytest
import torch

import bisnn_pyro
from bisnn_pyro.analysis import group, held_out_elpd, load_idata, natural_parameters, train_statistics
from bisnn_pyro.distributions import SignBernoulli
from bisnn_pyro.errors import DataError, InputError
from bisnn_pyro.experiments.batch import plan
from bisnn_pyro.experiments.build import build_task
from bisnn_pyro.experiments.run import run
from bisnn_pyro.inference import encode_all
from bisnn_pyro.results.studies import (
    compare_elpd,
    compare_loo,
    layer_posteriors,
    posterior_table,
    spike_checks,
)
from tests.experiments.tiny import TINY

QUIET = ["analysis.figures=false", "analysis.noise=[]", "train.epochs=2", "prior.p=0.6", "predict.draws=6"]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("source") / "tiny.toml"
    path.write_text(TINY)
    return str(path)


@pytest.fixture(scope="module")
def runs(source, tmp_path_factory):
    """The run folder of each method."""
    out = tmp_path_factory.mktemp("runs")
    return {m: run(plan(source, [m], overrides=QUIET)[0], out).path for m in ("bayes", "straight-through")}


def test_kl_is_that_of_the_distributions(runs):
    fitted = bisnn_pyro.load_run(runs["bayes"])
    found = layer_posteriors(fitted)
    assert list(found) == ["layers.0.weight", "layers.1.weight"]
    stored = natural_parameters(load_idata(runs["bayes"] / "inference_data.nc"))
    for name, q in fitted.guide.posterior().items():
        prior = SignBernoulli(probs=torch.tensor(0.6)).expand(q.event_shape).to_event(2)
        kl = float(torch.distributions.kl_divergence(q, prior).detach())
        assert found[name].kl == pytest.approx(kl, rel=1e-5)
        assert found[name].undecided == pytest.approx(float((q.mean.abs() < 0.5).double().mean()))
        np.testing.assert_allclose(stored[name], fitted.guide.natural_parameters()[name].numpy())
    table = posterior_table([runs["bayes"]])
    assert [row["layer"] for row in table.numbers] == list(found)
    assert table.numbers[0]["kl_per_synapse"] == pytest.approx(found["layers.0.weight"].kl / 64)


def test_points_and_real_synapses_have_no_such_posterior(runs, source, tmp_path):
    with pytest.raises(InputError, match="a point estimate"):
        layer_posteriors(bisnn_pyro.load_run(runs["straight-through"]))
    gaussian = run(plan(source, ["gaussian"], overrides=[s for s in QUIET if "prior" not in s])[0], tmp_path)
    with pytest.raises(InputError, match="real synapses"):
        posterior_table([gaussian.path])


def test_held_out_comparison_takes_what_the_runs_stored(runs):
    before = {p: p.read_bytes() for path in runs.values() for p in path.rglob("*") if p.is_file()}
    table = compare_elpd(runs.values())
    rows = {row["model"]: row for row in table.numbers}
    assert set(rows) == {"bayes-seed0", "straight-through-seed0"}
    for method, path in runs.items():
        stored = group(load_idata(path / "inference_data.nc"), "predictions_log_likelihood")["y"].values[0]
        assert rows[f"{method}-seed0"]["elpd"] == pytest.approx(held_out_elpd(stored).elpd)
    assert rows["straight-through-seed0"]["n_draws"] == 1
    assert any("means over steps" in note for note in table.notes)
    assert before == {p: p.read_bytes() for path in runs.values() for p in path.rglob("*") if p.is_file()}


def test_loo_is_of_training_points_and_draws(runs):
    table = compare_loo(runs.values(), draws=60, points=10)
    bayes, point = table.numbers
    assert (bayes["model"], bayes["n_draws"]) == ("bayes-seed0", 60)
    assert (point["model"], point["elpd"]) == ("straight-through-seed0", None)
    assert "10 points, each left out" in table.notes[0]
    assert any("not defined for a point estimate" in note for note in table.notes)
    fitted = bisnn_pyro.load_run(runs["bayes"])
    task = build_task(fitted.config)
    index = np.unique(np.linspace(0, 23, 10).round().astype(int))
    votes = fitted.predict_scaled(task.train.x[index], task.train.y[index], draws=60)
    full = held_out_elpd(votes.log_likelihood).elpd
    assert bayes["elpd"] == pytest.approx(full - bayes["p_loo"])
    assert bayes["p_loo"] > 0


def test_a_tempered_posterior_is_called_one(source, tmp_path):
    (config,) = plan(source, ["bayes"], overrides=[*QUIET, "train.kl_weight=0.1"])
    table = compare_elpd([run(config, tmp_path).path])
    assert any("the weight of the KL is not 1" in note for note in table.notes)


def test_hidden_spikes_of_members(runs):
    fitted = bisnn_pyro.load_run(runs["bayes"])
    test = build_task(fitted.config).test
    state = torch.get_rng_state()
    idata = spike_checks(fitted, test.x, test.y, members=3, window=5)
    assert torch.equal(state, torch.get_rng_state())
    predictive = group(idata, "posterior_predictive")
    assert predictive.sizes["draw"] == 3
    (block,) = encode_all(fitted.encoder, torch.as_tensor(test.x), fitted.config.predict.seed)
    how = fitted.config.predict
    latin = {"scheme": "latin-hypercube", "of": how.draws}
    members = fitted.guide.sample_posterior(3, seed=how.seed, **latin)
    for s in range(3):
        spikes = fitted.model.simulate({k: w[s] for k, w in members.items()}, block.float()).spikes
        for k, layer in enumerate(spikes):
            for name, expected in train_statistics(layer.numpy(), 5).items():
                np.testing.assert_allclose(predictive[f"layers.{k}.{name}"][0, s], expected)
    point = bisnn_pyro.load_run(runs["straight-through"])
    assert group(spike_checks(point, test.x, test.y, window=5), "posterior_predictive").sizes["draw"] == 1
    with pytest.raises(DataError, match="window"):
        spike_checks(fitted, test.x, test.y, window=7)


def test_trains_of_the_spike_train_likelihood(source, tmp_path):
    spike_train = ["likelihood.name=spike-train", "network.readout=trained", "network.credit=end-to-end"]
    (config,) = plan(source, ["bayes"], overrides=[*QUIET, *spike_train, "likelihood.period=3"])
    fitted = bisnn_pyro.load_run(run(config, tmp_path).path)
    test = build_task(config).test
    idata = spike_checks(fitted, test.x, test.y, points=20, window=5)
    observed, predictive = group(idata, "observed_data"), group(idata, "posterior_predictive")
    assert observed["y"].shape == (20, 10, 2)  # 12 steps, 2 of them burn-in
    assert predictive["y"].shape == (1, 6, 20, 10, 2)
    index = np.unique(np.linspace(0, 29, 20).round().astype(int))
    fires = np.arange(2, 12) % 3 == 0
    for point, label in enumerate(test.y[index]):
        np.testing.assert_array_equal(observed["y"][point, :, label], fires)
        assert not observed["y"][point, :, 1 - label].any()
    assert observed["interval_mean"].values.tolist() == [3, 3]
    np.testing.assert_allclose(predictive["rate"][0].values, predictive["y"][0].values.mean((1, 2)))
    again = spike_checks(fitted, test.x, test.y, points=20, window=5)
    assert group(again, "posterior_predictive").equals(predictive)
    assert json.loads(json.dumps(dict(idata.attrs)))["method"] == "bayes"
