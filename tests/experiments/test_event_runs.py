"""Runs on event recordings: what the data have to say, folds, and the cache, as a user meets them."""

import json

import numpy as np
import pytest
import xarray as xr

from bisnn_pyro.analysis import mean_interval
from bisnn_pyro.errors import DataError
from bisnn_pyro.experiments.batch import plan, run_experiment
from bisnn_pyro.experiments.run import evaluate_folder, run
from tests.data.events.writers import write_class_folders
from tests.experiments.numbers import read_rows

TOML = """
experiment = "recordings"
methods = ["bayes", "straight-through"]
[data]
name = "nmnist"
downsample = 4
time_step = 50.0
n_steps = 6
n_val = 3
[augment]
shift = 1
[network]
hidden = [{kind = "conv", channels = 2, kernel = 3, pool = 2}, {kind = "dense", units = 6, recurrent = true}]
burn_in = 2
[network.neuron]
tau_membrane = 2.0
tau_synapse = 1.0
[train]
epochs = 1
batch_size = 8
validation_draws = 2
[predict]
draws = 3
[analysis]
figures = false
early_decisions = 2
"""


@pytest.fixture
def source(tmp_path):
    (tmp_path / "recordings.toml").write_text(TOML)
    return str(tmp_path / "recordings.toml")


@pytest.fixture
def folder(tmp_path):
    """Two classes, 6 training and 6 test recordings each."""
    return write_class_folders(tmp_path / "set", n=6)


@pytest.fixture(autouse=True)
def user_cache(tmp_path, monkeypatch):
    """A cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "bisnn_pyro" / "nmnist" / "binned"


def one(source, folder, *overrides):
    (config,) = plan(source, ["bayes"], overrides=[f"data.path={folder}", *overrides])
    return config


def damage(folder, n=2):
    for k in range(n):
        (folder / "Train" / "1" / f"{k:05d}.bin").write_bytes(b"abc")


class TestNotes:
    """What a source has to say goes to ``metrics.json`` and to the terminal."""

    NOTE = "2 of 24 recordings cannot be read and were left out: "

    def test_in_the_metrics_and_in_those_of_an_evaluation(self, source, folder, tmp_path):
        damage(folder)
        result = run(one(source, folder, "data.on_error=skip"), tmp_path / "out")
        (note,) = result.metrics["notes"]
        assert note.startswith(self.NOTE)
        for k in range(2):
            assert f"{folder}/Train/1/0000{k}.bin: 3 bytes" in note
        stored = json.loads((result.path / "metrics.json").read_text())
        assert stored["notes"] == [note]
        assert evaluate_folder(result.path)["notes"] == [note]

    def test_nothing_to_say(self, source, folder, tmp_path):
        assert "notes" not in run(one(source, folder), tmp_path / "out").metrics

    def test_on_the_terminal(self, source, folder, bisnn, tmp_path):
        damage(folder)
        options = [source, "-m", "bayes", "--data-dir", folder, "--set", "data.on_error=skip", "-q"]
        done = bisnn("run", *options, "--out", tmp_path / "out")
        assert done.returncode == 0, done.stderr
        assert f"  note: {self.NOTE}" in done.stdout

    def test_unless_asked_a_damaged_recording_is_refused_and_nothing_written(self, source, folder, tmp_path):
        damage(folder)
        with pytest.raises(DataError, match=r"Train/1/00000\.bin: 3 bytes .*data\.on_error = 'skip' leaves"):
            run(one(source, folder), tmp_path / "out")
        assert not (tmp_path / "out").exists()


class TestFolds:
    def test_the_command(self, source, folder, bisnn, tmp_path):
        out = tmp_path / "out"
        done = bisnn("run", source, "--data-dir", folder, "--folds", 3, "--out", out)
        assert done.returncode == 0, done.stderr
        for text in ("0-2 of 3", "over n folds", "paired by fold"):
            assert text in done.stdout
        names = {path.name for path in out.iterdir()}
        assert names == {f"{m}-fold{k}-seed0" for m in ("bayes", "straight-through") for k in range(3)} | {
            "summary"
        }
        rows = read_rows(out / "summary" / "table.csv")
        lines = {(line["method"], line["predictor"]): line for line in rows}
        for method, predictor in (("bayes", "committee"), ("straight-through", "mode")):
            nll = [
                _metrics(out / f"{method}-fold{k}-seed0")["predictors"][predictor]["nll"] for k in range(3)
            ]
            line, expected = lines[method, predictor], mean_interval(nll)
            assert line["n"] == "3"
            assert float(line["nll"]) == pytest.approx(expected.mean)
            assert float(line["nll_half_width"]) == pytest.approx(expected.half_width)

    def test_each_recording_is_tested_once_and_all_are_binned_once(
        self, source, folder, tmp_path, user_cache
    ):
        """24 recordings, 12 of each class, of the set's training and test part together."""
        configs = plan(source, ["bayes"], overrides=[f"data.path={folder}"], n_folds=2)
        result = run_experiment(configs, tmp_path / "out")
        tested = []
        for made in result.runs:
            with xr.open_datatree(made.path / "inference_data.nc") as tree:
                tested.append(np.bincount(tree["predictions_constant_data"]["y"].values).tolist())
        assert tested == [[6, 6]] * 2
        assert [path.suffix for path in user_cache.iterdir()] == [".spikes"]


def test_what_a_run_leaves_beside_its_folder(source, folder, tmp_path, user_cache):
    """The folder of recordings stays as it is; without the cache nothing stays anywhere."""
    before = sorted((path, path.stat().st_mtime_ns) for path in folder.rglob("*"))
    kept = run(one(source, folder), tmp_path / "kept")
    (file,) = user_cache.iterdir()
    file.unlink()
    again = run(one(source, folder, "data.cache=false"), tmp_path / "again")
    assert list(user_cache.iterdir()) == []
    assert again.metrics["predictors"] == kept.metrics["predictors"]
    assert sorted((path, path.stat().st_mtime_ns) for path in folder.rglob("*")) == before


def _metrics(path):
    return json.loads((path / "metrics.json").read_text())
