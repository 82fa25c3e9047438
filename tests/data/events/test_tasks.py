"""From recordings to a task: a split that does not move, classes, names, and what the notes say."""

import copy
import pickle
import shutil

import numpy as np
import pytest

from bisnn_pyro.data import event_folder, load_task
from bisnn_pyro.data.events.binning import Binning
from bisnn_pyro.errors import DataError
from tests.data.events.writers import make_events, write_bin, write_class_folders

FOLDS = {"sensor": [34, 34], "n_folds": 3}


@pytest.fixture
def root(tmp_path):
    return write_class_folders(tmp_path / "mine", classes=("a", "b", "c"), parts=(".",), n=10)


def contents(task):
    """The spikes of each part's recordings, which the writers make all different."""
    return [{x.tobytes() for x in split.x[:]} for split in (task.train, task.val, task.test)]


def test_a_damaged_recording_moves_no_other(root):
    whole = [contents(event_folder(root, fold=k, **FOLDS)) for k in range(3)]
    (root / "a" / "00003.bin").write_bytes(b"abc")
    for k in range(3):
        task = event_folder(root, fold=k, on_error="skip", **FOLDS)
        for before, after in zip(whole[k], contents(task), strict=True):
            assert after <= before
        assert sum(map(len, contents(task))) == 29


def test_parts_that_cannot_be_read_at_all(root):
    for folder in root.iterdir():
        shutil.rmtree(folder)
    write_class_folders(root, n=2)
    for file in (root / "Test").rglob("*.bin"):
        file.write_bytes(b"abc")
    with pytest.raises(DataError, match=r"no test recording in .* can be read.*3 bytes"):
        event_folder(root, on_error="skip")


def test_fingerprints_name_the_recordings(root, tmp_path):
    first = event_folder(root).fingerprints
    assert first.keys() == {"train", "val", "test"}
    moved = shutil.copytree(root, tmp_path / "elsewhere" / "mine")
    assert event_folder(moved, n_steps=7, cache=False).fingerprints == first
    shutil.copy(root / "a" / "00000.bin", root / "a" / "zz.bin")
    assert not set(event_folder(root).fingerprints.values()) & set(first.values())
    assert load_task("digits").fingerprints == {}


def test_numbers_that_are_the_same_are_two_classes(tmp_path):
    task = event_folder(write_class_folders(tmp_path, classes=("1", "01", "2"), parts=(".",), n=5))
    assert task.classes == ("01", "1", "2")
    task = event_folder(write_class_folders(tmp_path / "s", classes=("10", "02"), parts=(".",), n=5))
    assert task.classes == ("2", "10")


@pytest.mark.parametrize("below", ["a/..", "a/../../mine", "."])
def test_the_name_is_the_folders_own(root, below, user_cache, monkeypatch):
    monkeypatch.chdir(root / "a")
    for path in (root / below, ".."):
        assert event_folder(path).name == "mine"
    assert {entry.name for entry in user_cache.iterdir()} == {"mine"}


def test_notes_say_what_was_passed_over(root):
    write_bin(root / "stray.bin", make_events(5))
    (note,) = event_folder(root).notes
    assert "stray.bin" in note


def test_a_folder_of_sets_points_to_them(root):
    with pytest.raises(DataError, match=rf"but its mine has: try --data-dir {root}"):
        event_folder(root.parent)


def test_too_few_recordings_name_the_share(tmp_path):
    root = write_class_folders(tmp_path / "few", parts=(".",), n=1)
    with pytest.raises(DataError, match=r"Use more recordings or, .* data.test_share \(0.2 now\)"):
        event_folder(root)


def test_can_be_pickled_and_copied(root):
    task = event_folder(root)
    for other in (pickle.loads(pickle.dumps(task)), copy.deepcopy(task)):
        assert np.array_equal(other.train.x[:], task.train.x[:])
        assert (other.binning, other.sensor) == (Binning(10.0, 100, zero="first-event"), task.sensor)
