"""A run folder: what is in it, and that it can be read back, resumed and refused."""

import json

import numpy as np
import pytest
import torch
import xarray as xr

import bisnn_pyro
from bisnn_pyro.data import load_task
from bisnn_pyro.errors import ConfigError, DivergenceError, RunFolderError
from bisnn_pyro.experiments import run as run_module
from bisnn_pyro.experiments.batch import plan, run_experiment
from bisnn_pyro.experiments.folder import RunFolder
from bisnn_pyro.experiments.run import evaluate_folder, run
from bisnn_pyro.inference import History

FILES = {
    "config.toml",
    "environment.json",
    "history.csv",
    "metrics.json",
    "posterior.safetensors",
    "preprocessing.json",
    "inference_data.nc",
    "predictions.npz",
}


def with_train(config, **changes):
    return config.model_copy(update={"train": config.train.model_copy(update=changes)})


def test_the_folder_holds_what_was_promised(config, tmp_path):
    result = run(config, tmp_path / "out")
    assert result.path == tmp_path / "out" / "bayes-seed0"
    assert {p.name for p in result.path.iterdir()} == FILES
    metrics = json.loads((result.path / "metrics.json").read_text())
    assert metrics == result.metrics
    assert metrics["experiment"] == "tiny"
    assert (metrics["method"], metrics["seed"], metrics["n_test"], metrics["epochs"]) == ("bayes", 0, 30, 3)
    assert set(metrics["predictors"]) == {"committee", "mode", "mean"}
    for scores in metrics["predictors"].values():
        assert set(scores) == {"accuracy", "nll", "brier", "ece", "ece_mass", "mce"}
    assert set(metrics["noise"]) == {"0.1"}
    assert json.loads((result.path / "environment.json").read_text())["command"] is None
    history = History.read_csv(result.path / "history.csv")
    assert history.column("epoch") == [1.0, 2.0, 3.0]
    assert {"loss", "kl", "temperature", "val_nll", "val_accuracy"} <= set(history.columns)


def test_point_guides_vote_by_their_mode_alone(source, tmp_path):
    for config in plan(source, ["straight-through", "full-precision"], overrides=["analysis.figures=false"]):
        assert set(run(config, tmp_path).metrics["predictors"]) == {"mode"}


def test_inference_data_reads_back(config, tmp_path):
    path = run(config, tmp_path).path / "inference_data.nc"
    tree = xr.open_datatree(path)
    prob = tree["posterior_predictive"]["y_prob"]
    assert prob.dims == ("chain", "draw", "point", "class")
    assert prob.shape == (1, 4, 30, 2)
    assert tree["log_likelihood"]["y"].shape == (1, 4, 30)
    assert set(tree["sample_stats"].data_vars) >= {"kl", "loss", "temperature"}
    assert tree.attrs["method"] == "bayes"
    # The stored draws are those behind the stored metrics.
    y = tree["observed_data"]["y"].values
    vote = prob.mean(("chain", "draw")).values
    metrics = json.loads((path.parent / "metrics.json").read_text())
    assert np.isclose((vote.argmax(-1) == y).mean(), metrics["predictors"]["committee"]["accuracy"])
    tree.close()


def test_the_same_seed_gives_the_same_folder(config, tmp_path):
    a, b = run(config, tmp_path / "a"), run(config, tmp_path / "b")
    same = a.path / "posterior.safetensors", b.path / "posterior.safetensors"
    assert same[0].read_bytes() == same[1].read_bytes()
    assert a.metrics["predictors"] == b.metrics["predictors"]
    other = run(config.model_copy(update={"seed": 1}), tmp_path / "a")
    assert other.path.name == "bayes-seed1"
    assert other.metrics["predictors"] != a.metrics["predictors"]


def test_the_global_random_state_and_threads_are_left_alone(config, tmp_path):
    torch.manual_seed(5)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    run(with_train(config, threads=1), tmp_path)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.get_num_threads() == threads


def test_load_run_predicts_raw_inputs_as_the_run_did(config, tmp_path):
    result = run(config, tmp_path)
    posterior = bisnn_pyro.load_run(result.path)
    task = load_task("two-moons", **config.data.settings)
    low, high = posterior.preprocessing.scaler.low, posterior.preprocessing.scaler.high
    raw = task.test.x * (high - low) + low
    prediction = posterior.predict(raw)
    assert prediction.draws.shape == (4, 30, 2)
    stored = xr.open_datatree(result.path / "inference_data.nc")["posterior_predictive"]["y_prob"].values[0]
    # Scaling there and back may move a rate by a rounding, and a spike with it.
    assert np.median(np.abs(stored - prediction.draws)) < 1e-6
    assert np.array_equal(posterior.predict(raw, draws=2).draws, prediction.draws[:2])


def test_load_run_refuses_wrong_inputs_and_folders(config, tmp_path):
    posterior = bisnn_pyro.load_run(run(config, tmp_path).path)
    with pytest.raises(bisnn_pyro.errors.DataError, match=r"\[N, 2\]"):
        posterior.predict(np.zeros((3, 5)))
    with pytest.raises(bisnn_pyro.errors.DataError, match="finite"):
        posterior.predict(np.full((3, 2), np.nan))
    with pytest.raises(RunFolderError, match="not a run folder"):
        bisnn_pyro.load_run(tmp_path / "nowhere")
    (tmp_path / "bayes-seed0" / "posterior.safetensors").write_bytes(b"nonsense")
    with pytest.raises(RunFolderError, match=r"posterior\.safetensors"):
        bisnn_pyro.load_run(tmp_path / "bayes-seed0")


def test_a_finished_folder_is_not_run_over(config, tmp_path):
    run(config, tmp_path)
    with pytest.raises(RunFolderError, match="--overwrite"):
        run(config, tmp_path)
    run(config, tmp_path, overwrite=True)


def test_a_folder_of_something_else_is_left_alone(config, tmp_path):
    other = tmp_path / "bayes-seed0"
    other.mkdir()
    (other / "thesis.tex").write_text("years of work")
    for overwrite in (False, True):
        with pytest.raises(RunFolderError):
            run(config, tmp_path, overwrite=overwrite)
    assert (other / "thesis.tex").read_text() == "years of work"


def interrupt_after(monkeypatch, epochs):
    """Ask to stop, as Ctrl-C does, during the epoch after ``epochs``."""
    import signal

    original = run_module._Checkpoints.__call__

    def call(self, history, make):
        original(self, history, make)
        if len(history) == epochs:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(run_module._Checkpoints, "__call__", call)


def test_interrupt_then_resume_gives_the_bits_of_one_run(config, tmp_path, monkeypatch):
    whole = run(config, tmp_path / "whole")
    with monkeypatch.context() as patch:
        interrupt_after(patch, 1)
        cut = run(config, tmp_path / "cut")
    assert cut.interrupted
    folder = RunFolder(cut.path)
    assert folder.resumable
    assert not folder.finished
    assert len(History.read_csv(folder.history_path)) == 1
    # The folder is valid as it stands: its posterior predicts, and can be evaluated, and that leaves
    # it as unfinished as it was.
    assert bisnn_pyro.load_run(cut.path).predict(np.zeros((2, 2))).draws.shape == (4, 2, 2)
    assert set(evaluate_folder(cut.path)["predictors"]) == {"committee", "mode", "mean"}
    assert folder.resumable
    assert not folder.finished

    with pytest.raises(RunFolderError, match="--resume"):
        run(config, tmp_path / "cut")
    resumed = run(config, tmp_path / "cut", resume=True)
    a, b = whole.path / "posterior.safetensors", resumed.path / "posterior.safetensors"
    assert a.read_bytes() == b.read_bytes()
    assert resumed.metrics["predictors"] == whole.metrics["predictors"]
    assert not (resumed.path / "checkpoint").exists()
    rows = [
        [{k: v for k, v in r.items() if k != "seconds"} for r in History.read_csv(p.path / "history.csv")]
        for p in (whole, resumed)
    ]
    assert rows[0] == rows[1]


def test_interrupt_in_the_first_epoch_can_be_resumed(config, tmp_path, monkeypatch):
    import signal

    from bisnn_pyro.inference import updates

    whole = run(config, tmp_path / "whole")
    original = updates.Updates.__call__

    def interrupted(self, *arguments):
        signal.raise_signal(signal.SIGINT)
        return original(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(updates.Updates, "__call__", interrupted)
        assert run(config, tmp_path / "cut").interrupted
    resumed = run(config, tmp_path / "cut", resume=True)
    paths = [r.path / "posterior.safetensors" for r in (whole, resumed)]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_overwriting_keeps_the_old_run_until_the_new_one_is_done(config, tmp_path):
    first = run(config, tmp_path)
    before = (first.path / "posterior.safetensors").read_bytes()
    bad = config.model_copy(
        update={
            "guide": config.guide.model_copy(update={"name": "straight-through"}),
            "rule": config.rule.model_copy(update={"name": "sgd", "lr": 1e38}),
        }
    )
    with pytest.raises(DivergenceError):
        run(bad, tmp_path, overwrite=True)
    assert (first.path / "posterior.safetensors").read_bytes() == before
    run(config, tmp_path, overwrite=True)
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".replaced")] == []


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


def test_predictors_by_name(config, tmp_path):
    fitted = bisnn_pyro.load_run(run(config, tmp_path).path)
    x = np.zeros((2, 2))
    assert fitted.predict(x, predictor="mode").draws.shape == (1, 2, 2)
    with pytest.raises(bisnn_pyro.errors.DataError, match="committee, mode, mean"):
        fitted.predict(x, predictor="comittee")
    with pytest.raises(bisnn_pyro.errors.DataError, match="at least one member"):
        fitted.predict(x, draws=0)


def test_resume_refuses_another_config(config, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt_after(patch, 1)
        run(config, tmp_path)
    other = config.model_copy(update={"rule": config.rule.model_copy(update={"lr": 1.0})})
    with pytest.raises(RunFolderError, match=r"another config \(different: rule\.lr\)"):
        run(other, tmp_path, resume=True)
    assert RunFolder(tmp_path / "bayes-seed0").resumable


def test_a_failed_run_leaves_nothing_behind(source, tmp_path):
    (config,) = plan(source, ["full-precision"], overrides=["rule.name=sgd", "rule.lr=1e38"])
    with pytest.raises(DivergenceError, match=r"rule\.lr"):
        run(config, tmp_path / "out")
    assert not (tmp_path / "out" / "full-precision-seed0").exists()


def test_evaluate_folder_with_other_noise(config, tmp_path):
    path = run(config, tmp_path).path
    before = json.loads((path / "metrics.json").read_text())
    metrics = evaluate_folder(path, noise=[0.0, 0.3])
    assert set(metrics["noise"]) == {"0", "0.3"}
    assert metrics["noise"]["0"] == metrics["predictors"] == before["predictors"]
    assert metrics["train_seconds"] == before["train_seconds"]


def test_batch_over_methods_and_seeds_with_summary(source, tmp_path):
    configs = plan(source, seeds=[0, 1])
    result = run_experiment(configs, tmp_path / "out")
    assert len(result.runs) == 6
    summary = result.summary.path
    names = {p.name for p in summary.iterdir()}
    assert {"table.csv", "table.md", "table.tex", "table-noise-0.1.csv"} <= names
    assert {f"{m}.nc" for m in ("bayes", "straight-through", "full-precision")} <= names
    for figure in ("predictive", "reliability", "training"):
        assert {f"{figure}.{suffix}" for suffix in ("png", "pdf", "csv")} <= names
    with xr.open_datatree(summary / "bayes.nc") as tree:
        assert tree["posterior_predictive"]["chain"].values.tolist() == [0, 1]
    assert "committee" in result.summary.table
    assert "bayes - straight-through" in result.summary.differences
    with pytest.raises(RunFolderError, match="already holds"):
        run_experiment(configs, tmp_path / "out")
    (other,) = plan(source, ["bayes"], [2])
    wider = run_experiment([other], tmp_path / "out").summary
    assert "straight-through" in wider.table  # a later, smaller batch does not shrink the summary
    again = run_experiment(configs, tmp_path / "out", resume=True)
    assert again.runs == ()
    assert sorted(again.summary.table.splitlines()) == sorted(wider.table.splitlines())


def test_a_run_that_fails_does_not_take_the_others_along(source, tmp_path):
    overrides = ["method.straight-through.rule.name=sgd", "method.straight-through.rule.lr=1e38"]
    configs = plan(source, ["bayes", "straight-through"], overrides=[*overrides, "analysis.figures=false"])
    result = run_experiment(configs, tmp_path)
    assert [c.method for c, _ in result.failures] == ["straight-through"]
    assert "committee" in result.summary.table
    assert not (tmp_path / "straight-through-seed0").exists()


def test_runs_with_other_settings_stay_out_of_the_table(source, tmp_path):
    small = ["analysis.figures=false", "analysis.noise=[]"]
    run_experiment(plan(source, ["bayes"], [0], small), tmp_path)
    result = run_experiment(plan(source, ["bayes"], [1], [*small, "rule.lr=0.5"]), tmp_path)
    assert not result.summary.intervals
    (reason,) = result.left_out
    assert "bayes-seed0" in reason
    assert "rule.lr" in reason


def test_resume_of_a_finished_run_refuses_other_settings(source, tmp_path):
    small = ["analysis.figures=false", "analysis.noise=[]"]
    run_experiment(plan(source, ["bayes"], [0], small), tmp_path)
    with pytest.raises(RunFolderError, match=r"different: train\.epochs"):
        run_experiment(plan(source, ["bayes"], [0], [*small, "train.epochs=5"]), tmp_path, resume=True)


def test_jobs_give_the_same_bits(source, tmp_path):
    overrides = ["analysis.figures=false", "train.threads=1"]
    configs = plan(source, ["bayes", "straight-through"], overrides=overrides)
    one = run_experiment(configs, tmp_path / "one", jobs=1)
    two = run_experiment(configs, tmp_path / "two", jobs=2)
    for config in configs:
        paths = [RunFolder.of(config, r.out).posterior_path for r in (one, two)]
        assert paths[0].read_bytes() == paths[1].read_bytes()


def test_normalised_network_is_saved_with_its_reference(source, tmp_path):
    (config,) = plan(
        source, ["bayes"], overrides=["network.normalise=true", "analysis.figures=false", "analysis.noise=[]"]
    )
    result = run(config, tmp_path)
    fitted = bisnn_pyro.load_run(result.path)
    assert fitted.model.reference is not None
    task = load_task("two-moons", **config.data.settings)
    draws = fitted.predict_scaled(task.test.x).draws
    stored = xr.open_datatree(result.path / "inference_data.nc")["posterior_predictive"]["y_prob"].values[0]
    assert np.array_equal(draws, stored)


@pytest.mark.parametrize(
    "overrides",
    [
        ["likelihood.name=rate", "network.credit=end-to-end", "network.readout=trained"],
        ["likelihood.name=spike-train", "network.readout=trained"],
        ["likelihood.name=categorical-steps", "network.neuron=escape", "train.particles=2"],
        ["train.window=5", "encoder.name=rate"],
        ["guide.hard=true", "train.kl_warmup=0.5", "train.patience=1", "encoder.name=latency"],
        ["rule.name=adam", "guide.temperature_end=0.5", "guide.temperature_shape=exponential"],
        ["encoder.name=direct", "network.bias=true", "rule.lr_shape=cosine", "rule.lr_end_factor=0.0"],
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
