"""Finished run folders: their posterior predicts, and is evaluated anew, as the run did."""

import json

import numpy as np
import pyro
import pytest
import torch
import xarray as xr

import bisnn_pyro
from bisnn_pyro.errors import RunFolderError
from bisnn_pyro.experiments.batch import plan
from bisnn_pyro.experiments.build import build_task
from bisnn_pyro.experiments.run import evaluate_folder, new_fit, run


def test_load_run_predicts_raw_inputs_as_the_run_did(config, tiny_run):
    posterior = bisnn_pyro.load_run(tiny_run.path)
    task = build_task(config)
    low, high = posterior.preprocessing.scaler.low, posterior.preprocessing.scaler.high
    raw = task.test.x * (high - low) + low
    prediction = posterior.predict(raw)
    assert prediction.draws.shape == (4, 30, 2)
    stored = xr.open_datatree(tiny_run.path / "inference_data.nc")["predictions"]["y_prob"].values[0]
    # Scaling there and back may move a rate by a rounding, and a spike with it.
    assert np.median(np.abs(stored - prediction.draws)) < 1e-6
    posterior.config = posterior.config.replace("predict.scheme", "independent")
    assert np.array_equal(posterior.predict(raw, draws=2).draws, posterior.predict(raw).draws[:2])


@pytest.mark.parametrize("neuron", ["threshold", "escape"])
@pytest.mark.parametrize("encoder", ["rate", "population"])
def test_votes_on_a_point_do_not_depend_on_the_others(source, encoder, neuron):
    overrides = [f"encoder.name={encoder}", f"network.neuron.name={neuron}", "network.normalise=true"]
    if encoder == "rate":
        overrides.append("encoder.n_steps=12")
    (config,) = plan(str(source), ["bayes"], overrides=overrides)
    task = build_task(config)
    fitted = new_fit(config, task)
    spikes = fitted.encode(task.train.x)[0].float()
    with pyro.get_param_store().scope():
        fitted.guide.initialize(spikes, torch.as_tensor(task.train.y))
    fitted.model.set_reference(spikes[:, :6])
    x = np.random.default_rng(0).random((9, 2))
    whole, order = fitted.predict(x).draws, np.random.default_rng(1).permutation(9)
    early = fitted.predict_early(x, [5, 12])
    assert whole.std() > 0
    for index in (slice(3, 6), order):
        np.testing.assert_allclose(fitted.predict(x[index]).draws, whole[:, index], atol=1e-6)
        np.testing.assert_allclose(fitted.predict_early(x[index], [5, 12]), early[:, :, index], atol=1e-6)


def test_load_run_refuses_wrong_inputs_and_folders(spoilt):
    posterior = bisnn_pyro.load_run(spoilt)
    with pytest.raises(bisnn_pyro.errors.DataError, match=r"\[N, 2\]"):
        posterior.predict(np.zeros((3, 5)))
    with pytest.raises(bisnn_pyro.errors.DataError, match="finite"):
        posterior.predict(np.full((3, 2), np.nan))
    with pytest.raises(RunFolderError, match="not a run folder"):
        bisnn_pyro.load_run(spoilt / "nowhere")
    (spoilt / "posterior.safetensors").write_bytes(b"nonsense")
    with pytest.raises(RunFolderError, match=r"posterior\.safetensors"):
        bisnn_pyro.load_run(spoilt)


def test_predictors_by_name(tiny_run):
    fitted = bisnn_pyro.load_run(tiny_run.path)
    x = np.zeros((2, 2))
    assert fitted.predict(x, predictor="mode").draws.shape == (1, 2, 2)
    with pytest.raises(bisnn_pyro.errors.DataError, match="committee, mode, mean"):
        fitted.predict(x, predictor="comittee")
    with pytest.raises(bisnn_pyro.errors.DataError, match="whole number of at least 1"):
        fitted.predict(x, draws=0)


def test_evaluate_folder_with_other_noise(spoilt):
    before = json.loads((spoilt / "metrics.json").read_text())
    metrics = evaluate_folder(spoilt, noise=[0.0, 0.3])
    assert set(metrics["noise"]) == {"0", "0.3"}
    assert metrics["noise"]["0"] == metrics["predictors"] == before["predictors"]
    assert metrics["train_seconds"] == before["train_seconds"]


def test_changed_data_are_noticed(source, tmp_path):
    rng = np.random.default_rng(0)

    def write(n):
        arrays = {
            f"{a}_{part}": v
            for part in ("train", "test")
            for a, v in (("x", rng.random((n, 3))), ("y", rng.integers(0, 2, n)))
        }
        np.savez(tmp_path / "mine.npz", **arrays)

    write(20)
    overrides = ["data.name=npz", f"data.path={tmp_path / 'mine.npz'}", "analysis.figures=false"]
    (config,) = plan(source, ["bayes"], overrides=overrides)
    path = run(config, tmp_path / "out").path
    evaluate_folder(path)
    write(20)
    with pytest.raises(RunFolderError, match="have changed since the run"):
        evaluate_folder(path)


def test_normalised_network_is_saved_with_its_reference(source, tmp_path):
    (config,) = plan(
        source, ["bayes"], overrides=["network.normalise=true", "analysis.figures=false", "analysis.noise=[]"]
    )
    result = run(config, tmp_path)
    fitted = bisnn_pyro.load_run(result.path)
    assert fitted.model.reference is not None
    task = build_task(config)
    draws = fitted.predict_scaled(task.test.x).draws
    stored = xr.open_datatree(result.path / "inference_data.nc")["predictions"]["y_prob"].values[0]
    assert np.array_equal(draws, stored)
