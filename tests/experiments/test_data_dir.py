"""Image sets and standardised inputs through whole runs: --data-dir, BISNN_DATA, evaluating, resuming."""

import json
import shutil
import tomllib

import numpy as np
import pytest
from typer.testing import CliRunner

import bisnn_pyro
from bisnn_pyro import cli
from bisnn_pyro.data import StandardEncoder, mnist
from bisnn_pyro.errors import DataError, InputError, RunFolderError
from bisnn_pyro.experiments import run as run_module
from bisnn_pyro.experiments.batch import plan
from bisnn_pyro.experiments.folder import RunFolder
from bisnn_pyro.experiments.parts import make
from bisnn_pyro.experiments.run import evaluate_folder, run
from tests.data.idx_files import FILES, tiny_arrays, write_set

SOURCE = """
experiment = "tiny-images"
methods = ["bayes"]
[data]
name = "mnist"
n_val = 20
[encoder]
name = "standard"
n_steps = 3
[network]
hidden = [8]
gain = 3.0
[train]
epochs = 2
batch_size = 8
validation_draws = 2
[predict]
draws = 3
[analysis]
figures = false
"""


@pytest.fixture
def source(tmp_path):
    (tmp_path / "tiny.toml").write_text(SOURCE)
    return tmp_path / "tiny.toml"


@pytest.fixture
def config(source, tmp_path):
    write_set(tmp_path / "mnist", compressed=True)
    return bisnn_pyro.load_preset(source, data_dir=tmp_path / "mnist")


def test_run_and_evaluate_find_the_data_again(source, bisnn, tmp_path):
    """Compressed files in the set's own folder by a relative path; then the folder has moved."""
    write_set(tmp_path / "here" / "mnist", compressed=True)
    folder = tmp_path / "out" / "bayes-seed0"
    done = bisnn("run", source, "--data-dir", "here/mnist", "--out", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    stored = tomllib.loads((folder / "config.toml").read_text())
    assert stored["data"]["path"] == str(tmp_path / "here" / "mnist")
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["n_test"] == 20
    assert evaluate_folder(folder) == metrics
    shutil.move(tmp_path / "here", tmp_path / "there")
    with pytest.raises(DataError, match=r"here/mnist does not exist.*--data-dir"):
        evaluate_folder(folder)
    found = bisnn("evaluate", folder, "--data-dir", "there", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    assert json.loads((folder / "metrics.json").read_text()) == metrics


def test_the_environment_variable_alone(source, bisnn, tmp_path):
    write_set(tmp_path / "sets" / "mnist", compressed=True)
    done = bisnn("run", source, "--out", "out", cwd=tmp_path, BISNN_DATA=str(tmp_path / "sets"))
    assert done.returncode == 0, done.stderr
    assert "path" not in tomllib.loads((tmp_path / "out" / "bayes-seed0" / "config.toml").read_text())["data"]


def test_an_interrupted_run_goes_on_to_the_same_bits(source, bisnn, tmp_path, monkeypatch):
    """Plain files below a parent folder; the second half is a command."""
    write_set(tmp_path / "sets" / "MNIST" / "raw")
    data_dir = tmp_path / "sets"
    config = bisnn_pyro.load_preset(str(source), data_dir=data_dir, train={"checkpoint_every": 1})
    whole = run(config, tmp_path / "whole")
    original = run_module._Checkpoints.__call__

    def interrupt(self, history, make):
        original(self, history, make)
        if len(history) == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run_module._Checkpoints, "__call__", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(config, tmp_path / "cut")
    settings = ["--set", "train.checkpoint_every=1", "--data-dir", data_dir]
    done = bisnn("run", source, *settings, "--resume", "--out", "cut", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    resumed = tmp_path / "cut" / "bayes-seed0"
    for name in ("posterior.safetensors", "preprocessing.json"):
        assert (whole.path / name).read_bytes() == (resumed / name).read_bytes()
    assert json.loads((resumed / "metrics.json").read_text())["predictors"] == whole.metrics["predictors"]


def test_tune_keeps_the_folder(source, bisnn, tmp_path):
    write_set(tmp_path / "sets" / "mnist")
    source.write_text(SOURCE + '[tune]\n"network.gain" = { low = 1.0, high = 4.0 }\n')
    done = bisnn("tune", source, "--trials", "1", "--out", "search", "--data-dir", "sets", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    tuned = tomllib.loads((tmp_path / "search" / "tuned.toml").read_text())
    assert tuned["data"]["path"] == str(tmp_path / "sets")


@pytest.mark.parametrize(
    ("name", "message"),
    [(None, "it holds nothing"), ("digits", "unknown key 'path'")],
)
def test_bad_folders_are_refused_and_nothing_is_left(name, message, source, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    before = sorted(tmp_path.iterdir())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        CliRunner().invoke(
            cli.app, ["run", name or str(source), "--data-dir", "empty"], catch_exceptions=False
        )
    assert sorted(tmp_path.iterdir()) == before


def test_a_loaded_run_standardises_raw_images_without_the_data(config, tmp_path):
    result = run(config, tmp_path / "out")
    raw = tiny_arrays()[FILES[2]]
    task = mnist(tmp_path / "mnist", n_val=20)
    own = StandardEncoder().fit(task.train.x).standardiser
    shutil.rmtree(tmp_path / "mnist")
    loaded = bisnn_pyro.load_run(result.path)
    assert np.array_equal(loaded.encoder.standardiser.mean, own.mean)
    vote = loaded.predict(raw).mean
    accuracy = (vote.argmax(-1) == tiny_arrays()[FILES[3]]).mean()
    assert accuracy == pytest.approx(result.metrics["predictors"]["committee"]["accuracy"])
    with pytest.raises(DataError, match="does not exist"):
        evaluate_folder(result.path)


def test_other_training_images_are_noticed(config, tmp_path):
    """The split sizes, labels and scales are the same, the statistics are not."""
    result = run(config, tmp_path / "out")
    write_set(tmp_path / "other" / "mnist", seed=1)
    with pytest.raises(RunFolderError, match="have changed since the run"):
        evaluate_folder(result.path, data_dir=tmp_path / "other")


def test_a_run_folder_without_statistics(source, config, tmp_path):
    """Folders of runs that standardise nothing have no such entry, as ever; a lost one is an error."""
    direct = plan(str(source), overrides=[f"data.path={tmp_path / 'mnist'}", "encoder.name=direct"])[0]
    path = run(direct, tmp_path / "direct").path
    assert "standardiser" not in json.loads((path / "preprocessing.json").read_text())
    bisnn_pyro.load_run(path)
    path = run(config, tmp_path / "standard").path
    stored = json.loads((path / "preprocessing.json").read_text())
    del stored["standardiser"]
    (path / "preprocessing.json").write_text(json.dumps(stored))
    RunFolder(path).seal()
    with pytest.raises(DataError, match="lacks the key 'standardiser'"):
        bisnn_pyro.load_run(path)


def test_filtered_digits(source, tmp_path):
    """Edge maps are part of the encoder: raw images go in, with or without the data at hand."""
    data = {"name": "digits", "n_train": 40}
    config = bisnn_pyro.load_preset(str(source), data=data, encoder={"filters": True})
    result = run(config, tmp_path / "out")
    loaded = bisnn_pyro.load_run(result.path)
    assert loaded.model.synapses[0].fan_in == 64 + 4 * 16
    task = make("data", data)
    raw = task.test.x.reshape(-1, 8, 8) * 16
    assert np.array_equal(loaded.predict(raw).draws, loaded.predict_scaled(task.test.x).draws)
    assert evaluate_folder(result.path)["predictors"] == result.metrics["predictors"]
    moons = bisnn_pyro.load_preset(str(source), data={"name": "two-moons"}, encoder={"filters": True})
    with pytest.raises(DataError, match="needs images"):
        run(moons, tmp_path / "none")


@pytest.mark.parametrize("name", ["digits", "npz", "two-moons", "curve"])
def test_standardised_inputs_of_other_tasks(name, source, tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.random((30, 4)), np.arange(30) % 3
    np.savez(tmp_path / "own.npz", x_train=x, y_train=y, x_test=x[:9], y_test=y[:9])
    settings = {"npz": {"path": str(tmp_path / "own.npz")}, "digits": {"n_train": 40}}.get(name, {})
    likelihood = {"name": "gaussian" if name == "curve" else "steps"}
    config = bisnn_pyro.load_preset(str(source), data={"name": name, **settings}, likelihood=likelihood)
    result = run(config, tmp_path / "out")
    loaded = bisnn_pyro.load_run(result.path)
    task = make("data", {"name": name, **settings})
    own = StandardEncoder().fit(task.train.x).standardiser
    assert np.array_equal(loaded.encoder.standardiser.deviation, own.deviation)
    raw = x if name == "npz" else np.zeros((2, task.n_features))
    assert np.isfinite(loaded.predict(raw).mean).all()
