"""Runs on recordings: changed data are refused, new recordings are binned alike, bins are compared."""

import json
import shutil

import numpy as np
import pytest

import bisnn_pyro
from bisnn_pyro.data.events.formats import read_bin
from bisnn_pyro.errors import DataError, RunFolderError
from bisnn_pyro.experiments.batch import plan, run_experiment
from bisnn_pyro.experiments.build import build_task
from bisnn_pyro.experiments.folder import RunFolder
from bisnn_pyro.experiments.run import evaluate_folder, fit, run
from bisnn_pyro.inference import FitResult
from bisnn_pyro.results import compare
from tests.data.events.writers import write_class_folders

TOML = """
experiment = "recordings"
methods = ["straight-through"]
[data]
name = "events"
path = "{root}"
time_step = 50.0
n_steps = 6
crop = [0, 2, 6, 30]
downsample = 2
[network]
hidden = [4]
[train]
epochs = 2
checkpoint_every = 1
batch_size = 16
[analysis]
figures = false
"""


@pytest.fixture
def root(tmp_path):
    return write_class_folders(tmp_path / "mine", classes=("a", "b"), parts=(".",), n=20, n_events=60)


@pytest.fixture
def source(tmp_path, root):
    (tmp_path / "recordings.toml").write_text(TOML.format(root=root))
    return str(tmp_path / "recordings.toml")


@pytest.fixture(autouse=True)
def user_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def one(source, *overrides):
    (config,) = plan(source, overrides=list(overrides))
    return config


def grow(root):
    """Put one more recording into a class, and take one out of the other, so that no size changes."""
    shutil.copy(root / "a" / "00001.bin", root / "a" / "zz.bin")
    (root / "b" / "00019.bin").unlink()


def test_a_folder_that_changed_is_not_evaluated(source, root, tmp_path):
    path = run(one(source), tmp_path / "out").path
    before = (path / "metrics.json").read_bytes()
    moved = shutil.copytree(root, tmp_path / "moved" / "mine")
    evaluate_folder(path, data_dir=moved)  # the same recordings elsewhere
    grow(root)
    with pytest.raises(RunFolderError, match=r"other recordings are in its .*test part.*run anew"):
        evaluate_folder(path)
    assert json.loads((path / "metrics.json").read_bytes())["predictors"] == json.loads(before)["predictors"]


def test_runs_of_earlier_releases_are_still_evaluated(source, tmp_path):
    result = run(one(source), tmp_path / "out")
    stored = json.loads((result.path / "preprocessing.json").read_text())
    for key in ("fingerprints", "binning", "sensor"):
        del stored[key]
    (result.path / "preprocessing.json").write_text(json.dumps(stored))
    (result.path / "manifest.json").unlink()
    with pytest.raises(RunFolderError, match="of an earlier release"):
        evaluate_folder(result.path)
    again = evaluate_folder(result.path, accept_changed=True)
    assert again["predictors"] == result.metrics["predictors"]
    with pytest.raises(DataError, match="does not say how recordings become spikes"):
        bisnn_pyro.load_run(result.path).bin("a.bin")


@pytest.mark.parametrize("way", ["stopped", "killed"])
def test_a_run_that_was_cut_off_does_not_go_on_with_others(source, root, tmp_path, monkeypatch, way):
    def cut_off(fitted, task, folder, *arguments, **settings) -> list[FitResult]:
        result = fit(fitted, task, folder, *arguments, **settings)
        if way == "killed":
            raise KeyboardInterrupt
        return [FitResult(**{**one.__dict__, "interrupted": True}) for one in result]

    with monkeypatch.context() as patch:
        patch.setattr("bisnn_pyro.experiments.run.fit", cut_off)
        if way == "killed":
            with pytest.raises(KeyboardInterrupt):
                run(one(source), tmp_path / "out")
        else:
            assert run(one(source), tmp_path / "out").interrupted
    grow(root)
    with pytest.raises(RunFolderError, match="other recordings"):
        run(one(source), tmp_path / "out", resume=True)


def test_new_recordings_are_binned_as_the_runs_were(source, root, tmp_path):
    config = one(source)
    fitted = bisnn_pyro.load_run(run(config, tmp_path / "out").path)
    task = build_task(config)
    files = sorted(root.rglob("*.bin"))
    spikes = np.concatenate([fitted.bin(file) for file in files])
    assert spikes.shape == (40, 6, 2 * 3 * 15)
    known = {x.tobytes() for split in (task.train, task.val, task.test) for x in split.x[:]}
    assert {x.tobytes() for x in spikes} == known
    assert np.array_equal(fitted.bin(read_bin(files[0])), fitted.bin(files[0]))
    assert fitted.predict(fitted.bin(files[0])).mean.shape == (1, 2)
    with pytest.raises(DataError, match=r"gone.bin"):
        fitted.bin(root / "gone.bin")
    assert fitted.preprocessing.sensor == (6, 34)


def test_other_bins_of_the_same_recordings_are_compared(source, root, tmp_path):
    changes = {
        "a": [],
        "b": ["data.time_step=25.0", "data.n_steps=12", "data.cache=false"],
        "c": ["data.seed=1"],
    }
    for name, change in changes.items():
        run(one(source, f"experiment={name}", *change), tmp_path / name)
    result = compare([tmp_path / "a", tmp_path / "b"], n_resamples=10)
    assert {row[0] for row in result.scores.body} == {"a", "b"}
    with pytest.raises(RunFolderError, match=r"data.seed differ"):
        compare([tmp_path / "a", tmp_path / "c"])
    folder = tmp_path / "b" / "straight-through-seed0"
    stored = json.loads((folder / "preprocessing.json").read_text())
    (folder / "preprocessing.json").write_text(
        json.dumps({**stored, "fingerprints": {**stored["fingerprints"], "test": "0" * 64}})
    )
    RunFolder(folder).seal()
    with pytest.raises(RunFolderError, match="tested on other recordings"):
        compare([tmp_path / "a", tmp_path / "b"])
    (folder / "preprocessing.json").write_text(
        json.dumps({k: v for k, v in stored.items() if k != "fingerprints"})
    )
    RunFolder(folder).seal()
    with pytest.raises(RunFolderError, match=r"data.n_steps, data.time_step differ"):
        compare([tmp_path / "a", tmp_path / "b"])


def test_the_cache_is_no_setting_of_a_line(source, tmp_path):
    for seed, cache in ((0, "true"), (1, "false")):
        (config,) = plan(source, seeds=[seed], overrides=[f"data.cache={cache}"])
        run_experiment([config], tmp_path / "out")
    assert compare([tmp_path / "out"], n_resamples=10).scores.body[0][3] == "2"
