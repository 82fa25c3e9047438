"""A run folder: what is in it, and what a run leaves as it was."""

import json

import numpy as np
import pytest
import torch
import xarray as xr

import bisnn_pyro
from bisnn_pyro.errors import ConfigError, DivergenceError
from bisnn_pyro.experiments.batch import plan
from bisnn_pyro.experiments.run import run
from bisnn_pyro.inference import History

FILES = {
    "config.toml",
    "environment.json",
    "history.csv",
    "manifest.json",
    "metrics.json",
    "posterior.safetensors",
    "preprocessing.json",
    "inference_data.nc",
}


def with_train(config, **changes):
    for key, value in changes.items():
        config = config.replace(f"train.{key}", value)
    return config


def test_the_folder_holds_what_was_promised(tiny_run):
    result = tiny_run
    assert result.path.name == "bayes-seed0"
    assert {p.name for p in result.path.iterdir()} == FILES
    metrics = json.loads((result.path / "metrics.json").read_text())
    assert metrics == result.metrics
    assert metrics["experiment"] == "tiny"
    assert (metrics["method"], metrics["seed"], metrics["n_test"], metrics["epochs"]) == ("bayes", 0, 30, 3)
    assert set(metrics["predictors"]) == {"committee", "mode", "mean", "pruned"}
    for scores in metrics["predictors"].values():
        assert set(scores) == {"accuracy", "nll", "brier", "ece", "ece_mass", "mce"}
    assert set(metrics["noise"]) == {"0.1"}
    assert json.loads((result.path / "environment.json").read_text())["command"] is None
    history = History.read_csv(result.path / "history.csv")
    assert history.column("epoch") == [1.0, 2.0, 3.0]
    assert {"loss", "kl", "entropy_bits", "val_nll", "val_accuracy"} <= set(history.columns)


def test_all_files_are_for_the_same_readers(tiny_run):
    files = [path for path in tiny_run.path.rglob("*") if path.is_file()]
    assert len({path.stat().st_mode for path in files}) == 1


def test_point_guides_vote_by_their_mode_alone(source, tmp_path):
    for config in plan(source, ["straight-through", "full-precision"], overrides=["analysis.figures=false"]):
        assert set(run(config, tmp_path).metrics["predictors"]) == {"mode"}


def test_inference_data_reads_back(tiny_run):
    path = tiny_run.path / "inference_data.nc"
    tree = xr.open_datatree(path)
    prob = tree["predictions"]["y_prob"]
    assert prob.dims == ("chain", "draw", "pred_point", "class")
    assert prob.shape == (1, 4, 30, 2)
    assert tree["predictions_log_likelihood"]["y"].shape == (1, 4, 30)
    assert tree["log_likelihood"]["y"].shape == (1, 4, 24)  # of the training points
    assert set(tree["sample_stats"].data_vars) >= {"kl", "loss", "entropy_bits"}
    assert tree.attrs["method"] == "bayes"
    # The stored draws are those behind the stored metrics.
    y = tree["predictions_constant_data"]["y"].values
    vote = prob.mean(("chain", "draw")).values
    metrics = json.loads((path.parent / "metrics.json").read_text())
    assert np.isclose((vote.argmax(-1) == y).mean(), metrics["predictors"]["committee"]["accuracy"])
    tree.close()


def test_the_same_seed_gives_the_same_folder(config, tiny_run, tmp_path):
    a, b = tiny_run, run(config, tmp_path)
    same = a.path / "posterior.safetensors", b.path / "posterior.safetensors"
    assert same[0].read_bytes() == same[1].read_bytes()
    assert a.metrics["predictors"] == b.metrics["predictors"]
    other = run(config.replace("seed", 1), tmp_path)
    assert other.path.name == "bayes-seed1"
    assert other.metrics["predictors"] != a.metrics["predictors"]


def test_the_global_random_state_and_threads_are_left_alone(config, tmp_path):
    torch.manual_seed(5)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    run(with_train(config, threads=1), tmp_path)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.get_num_threads() == threads


def test_noise_on_ready_spikes_is_refused(source, tmp_path):
    rng = np.random.default_rng(0)
    arrays = {
        f"{a}_{part}": v
        for part in ("train", "test")
        for a, v in (("x", rng.integers(0, 2, (12, 9, 5)).astype(bool)), ("y", np.arange(12) % 3))
    }
    np.savez(tmp_path / "spikes.npz", **arrays)
    common = ["data.name=npz", f"data.path={tmp_path / 'spikes.npz'}", "analysis.figures=false"]
    (config,) = plan(source, ["bayes"], overrides=common)
    with pytest.raises(ConfigError, match="ready spikes"):
        run(config, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (config,) = plan(source, ["bayes"], overrides=[*common, "analysis.noise=[]"])
    result = run(config, tmp_path / "out")
    assert bisnn_pyro.load_run(result.path).predict(arrays["x_test"]).draws.shape == (4, 12, 3)


def test_a_failed_run_leaves_nothing_behind(source, tmp_path):
    (config,) = plan(source, ["full-precision"], overrides=["rule.name=sgd", "rule.lr=1e38"])
    with pytest.raises(DivergenceError, match=r"rule\.lr"):
        run(config, tmp_path / "out")
    assert not (tmp_path / "out" / "full-precision-seed0").exists()


@pytest.mark.parametrize(
    "overrides",
    [
        ["likelihood.name=rate", "network.credit=end-to-end", "network.readout=trained"],
        ["likelihood.name=spike-train", "network.readout=trained"],
        ["likelihood.name=categorical-steps", "network.neuron.name=escape", "train.particles=2"],
        ["train.window=5", "encoder.name=rate"],
        [
            "guide.estimator=hard",
            "train.kl_weight={start = 1.0, warmup = 0.5}",
            "train.patience=1",
            "encoder.name=latency",
        ],
        [
            "rule.name=adam",
            "guide.estimator=relaxed",
            "guide.temperature={start = 1.0, end = 0.5, shape = 'exponential'}",
        ],
        [
            "encoder.name=direct",
            "network.bias=true",
            "train.lr_schedule={start = 1.0, end = 0.0, shape = 'cosine'}",
        ],
    ],
)
def test_every_setting_runs(source, tmp_path, overrides):
    common = ["analysis.figures=false", "analysis.noise=[]", "train.epochs=2"]
    (config,) = plan(source, ["bayes"], overrides=[*common, *overrides])
    metrics = run(config, tmp_path).metrics
    assert np.isfinite(metrics["predictors"]["committee"]["nll"])


def test_gaussian_method_and_regression(tmp_path):
    small = [
        "data.points_per_unit=4",
        "data.n_val=10",
        "data.n_test=20",
        "encoder.n_neurons=4",
        "encoder.n_steps=12",
        "network.hidden=[8]",
        "network.burn_in=2",
        "train.epochs=2",
        "predict.draws=3",
    ]
    for method in ("bayes", "gaussian"):
        (config,) = plan("curve", [method], overrides=[*small, "rule.name=adam", "rule.lr=0.01"])
        result = run(config, tmp_path)
        assert set(result.metrics["predictors"]["committee"]) == {
            "rmse",
            "nll",
            "coverage90",
            "width90",
            "width90_gaps",
        }
        prediction = bisnn_pyro.load_run(result.path).predict(np.array([[0.0], [4.5]]))
        assert prediction.draws.shape == (3, 2)
        assert prediction.noise_scale > 0
        assert (result.path / "figures" / "predictive.csv").is_file()
