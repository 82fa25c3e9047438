"""The sets as tasks: keys, splits, folds, names, notes, partial copies, and the published recordings."""

import copy
import inspect
import pickle
import re
import shutil

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from bisnn_pyro.data import (
    Binning,
    EventSet,
    EventSettings,
    Recordings,
    SpikesEncoder,
    Split,
    Task,
    dvs_gesture,
    event_folder,
    handwritten_digits,
    mnist_dvs,
    nmnist,
    poker_dvs,
    shd,
)
from bisnn_pyro.data.events.formats import read_array
from bisnn_pyro.data.events.layouts import find_classes
from bisnn_pyro.errors import DataError
from tests.data.events.writers import EVENT_SETS, make_events, write_bin, write_class_folders, write_set
from tests.real_data import DATA, needs


@pytest.fixture
def folder(tmp_path):
    """Write a small copy of a set in its real format."""

    def write(name):
        return write_set(name, tmp_path / "data")

    return write


class TestEverySet:
    @pytest.mark.parametrize("name", EVENT_SETS)
    def test_becomes_a_task_that_tells_its_classes_apart(self, folder, name):
        """The writers give each class a region of its own: nearest mean counts know every test recording."""
        task = EVENT_SETS[name](path=folder(name), n_val=2)
        assert task.spiking
        assert task.notes == ()
        assert isinstance(task.train.x, Recordings)
        assert np.prod(task.image_shape) == task.n_features
        mean = np.stack([task.train.x[task.train.y == k].sum((0, 1)) for k in range(task.n_classes)])
        counts = task.test.x[:].sum(1) @ mean.T
        assert np.array_equal(counts.argmax(1), task.test.y)
        encoded = SpikesEncoder(task.n_steps)
        import torch

        assert encoded(torch.from_numpy(task.val.x[:])).shape == (task.n_steps, 2, task.n_features)

    @pytest.mark.parametrize("name", EVENT_SETS)
    def test_has_folds_and_common_settings(self, name):
        common = {"fold", "n_folds", "path", "time_step", "n_steps", "start", "downsample"}
        common |= {"n_train", "n_val", "n_test", "seed", "on_error", "cache"}
        assert common <= inspect.signature(EVENT_SETS[name]).parameters.keys()

    @pytest.mark.parametrize("name", EVENT_SETS)
    def test_explains_its_keys_in_their_order(self, name):
        text = inspect.getdoc(EVENT_SETS[name])
        arguments = text[text.index("\nArgs:\n") : text.index("\nReturns:\n")]
        explained = re.findall(r"^ {4}(\w+): \S", arguments, re.MULTILINE)
        assert explained == list(inspect.signature(EVENT_SETS[name]).parameters)
        assert "DataError:" in text[text.index("\nRaises:\n") :]
        assert all(len(line) <= 110 for line in text.splitlines())

    @pytest.mark.parametrize("name", EVENT_SETS)
    def test_no_files(self, tmp_path, name):
        (tmp_path / "empty").mkdir()
        with pytest.raises(DataError, match=rf"{tmp_path / 'empty'} has no "):
            EVENT_SETS[name](path=tmp_path / "empty")


def test_a_set_states_what_differs_from_the_settings():
    """Its own defaults and meanings, the keys that it lacks, and those without a default."""
    made = EventSet(
        "my-set",
        "One line.",
        find_classes,
        "recordings",
        without=("scale", "polarity", "cache"),
        required=("path",),
        meanings={"fold": "Another thing."},
        n_steps=7,
        polarity="merge",
    )
    keys = inspect.signature(made).parameters
    assert not {"scale", "polarity", "cache"} & keys.keys()
    assert (keys["path"].default, keys["n_steps"].default) == (inspect.Parameter.empty, 7)
    assert keys["n_train"].annotation == int | None
    assert made.defaults.binning.polarity == "merge"
    assert made.__name__ == "my_set"
    assert repr(made) == "<EventSet my-set>"
    assert "    fold: Another thing.\n" in made.__doc__
    with pytest.raises(TypeError, match="'polarity'"):
        made("data", polarity="keep")
    with pytest.raises(TypeError, match="'path'"):
        made()


class TestShapes:
    def test_nmnist(self, folder):
        task = nmnist(path=folder("nmnist"))
        assert (task.n_steps, task.image_shape, task.classes) == (30, (2, 34, 34), ("0", "1"))
        assert (len(task.train), len(task.val), len(task.test)) == (5, 1, 6)
        assert task.labels.labels == (0, 1)

    def test_settings_reach_the_binning(self, folder):
        changes = {"time_step": 5, "n_steps": 7, "crop": [1, 2, 20, 10], "downsample": 3}
        task = nmnist(path=folder("nmnist"), polarity="merge", **changes)
        assert (task.n_steps, task.image_shape) == (7, (1, 7, 4))

    def test_poker_classes_are_names(self, folder):
        task = poker_dvs(path=folder("poker-dvs"), n_val=0)
        assert task.classes == ("cl", "di", "he", "sp")
        assert task.image_shape == (2, 35, 35)
        assert len(task.val) == 0

    def test_mnist_dvs_starts_at_the_first_event_and_holds_out_a_share(self, folder):
        root = folder("mnist-dvs")
        task = mnist_dvs(path=root, test_share=0.25, crop=[0, 20, 64, 64], downsample=1)
        assert task.image_shape == (2, 64, 64)
        assert np.bincount(task.test.y).tolist() == [1, 1]
        assert task.train.x[:].sum((0, 2))[0] > 0
        with pytest.raises(DataError, match=r"data.scale is 5; expected one of 4, 8, 16"):
            mnist_dvs(path=root, scale=5)
        with pytest.raises(DataError, match="has no recordings of mnist-dvs"):
            mnist_dvs(path=root, scale=8)

    def test_dvs_gesture(self, folder):
        task = dvs_gesture(path=folder("dvs-gesture"), n_val=0)
        assert (task.image_shape, task.classes) == ((2, 32, 32), ("1", "2", "3"))
        assert (len(task.train), len(task.test)) == (9, 3)

    def test_shd(self, folder):
        task = shd(path=folder("shd"), downsample=5)
        assert (task.image_shape, task.classes, task.n_steps) == ((1, 1, 140), ("0", "3"), 100)

    def test_own_folders(self, tmp_path):
        root = write_class_folders(tmp_path / "mine", classes=("left", "right"), parts=(".",), n=5)
        task = event_folder(path=root, sensor=[40, 50], zero="clock")
        assert (task.name, task.classes, task.image_shape) == ("mine", ("left", "right"), (2, 40, 50))
        assert (len(task.train), len(task.val), len(task.test)) == (7, 1, 2)
        with pytest.raises(DataError, match=r"data.sensor is 40; expected \[height, width\]"):
            event_folder(path=root, sensor=40)
        with pytest.raises(DataError, match="outside the sensor of 20 x 20"):
            event_folder(path=root, sensor=[20, 20])

    def test_a_flat_folder_has_no_classes(self, tmp_path):
        write_bin(tmp_path / "a.bin", make_events(5))
        with pytest.raises(DataError, match="but not in the folder of a class"):
            event_folder(path=tmp_path)


class TestPartialCopies:
    def test_a_part_only(self, tmp_path):
        root = write_class_folders(tmp_path, parts=("Train",), n=8)
        task = nmnist(path=root)
        assert (len(task.train), len(task.val), len(task.test)) == (13, 1, 2)

    def test_a_class_in_the_test_part_only(self, tmp_path):
        root = write_class_folders(tmp_path)
        write_bin(root / "Test" / "7" / "1.bin", make_events(9))
        with pytest.raises(DataError, match=r"no training recording in .* is of class 7"):
            nmnist(path=root)

    def test_one_class(self, tmp_path):
        root = write_class_folders(tmp_path, classes=("3",))
        with pytest.raises(DataError, match="all of class 3; expected 2 classes"):
            nmnist(path=root)

    def test_damaged_recordings_are_counted(self, tmp_path):
        root = write_class_folders(tmp_path, n=8)
        for i in range(7):
            (root / "Train" / "0" / f"{i:05d}.bin").write_bytes(b"abc")
        with pytest.raises(DataError, match=r"Train/0/00000.bin: 3 bytes"):
            nmnist(path=root)
        task = nmnist(path=root, on_error="skip", n_val=0)
        assert len(task.train) == 9
        (note,) = task.notes
        assert note.startswith("7 of 32 recordings cannot be read and were left out: ")
        assert note.endswith("; and 2 more")


class TestShares:
    @given(
        n=st.integers(8, 60),
        k=st.integers(2, 5),
        n_classes=st.integers(1, 3),
        seed=st.integers(0, 50),
        n_val=st.none() | st.integers(0, 3),
    )
    @settings(deadline=None, max_examples=60)
    def test_folds_partition_all_recordings(self, n, k, n_classes, seed, n_val):
        rng = np.random.default_rng(seed)
        parts, y = rng.choice(["train", "test", ""], n), rng.integers(0, n_classes, n)
        tested = []
        for fold in range(k):
            train, val, test = EventSettings(n_folds=k, fold=fold, n_val=n_val, seed=seed).split(parts, y)
            assert sorted([*train, *val, *test]) == list(range(n))
            tested += test.tolist()
            for c in range(n_classes):
                assert abs((y[test] == c).sum() - (y == c).sum() / k) < 1
        assert sorted(tested) == list(range(n))

    def test_the_own_test_part_and_its_numbers(self):
        parts, y = np.repeat(["train", "test"], [60, 20]), np.arange(80) % 4
        train, val, test = EventSettings().split(parts, y)
        assert (len(train), len(val)) == (54, 6)
        assert test.tolist() == list(range(60, 80))
        fewer = EventSettings(n_train=8, n_val=12, n_test=4).split(parts, y)
        assert [np.bincount(y[rows]).tolist() for rows in fewer] == [[2] * 4, [3] * 4, [1] * 4]
        # Validation and test recordings do not depend on n_train.
        assert np.array_equal(fewer[1], EventSettings(n_val=12).split(parts, y)[1])

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"fold": 0}, "give both"),
            ({"n_folds": 3}, "give both"),
            ({"n_folds": 3, "fold": 3}, "data.fold is 3; expected 0..2"),
            ({"n_val": 7}, "data.n_val is 7, but there are 7 recordings outside"),
            ({"n_train": 0}, "n_train is 0"),
            ({"n_test": 0}, "data.n_test is 0"),
            ({"seed": -1}, "data.seed is -1"),
            ({"test_share": 1.5}, "data.test_share is 1.5"),
            ({"test_share": 0}, "0 of 10 recordings would test"),
            ({"test_share": 1}, "10 of 10 recordings would test"),
        ],
    )
    def test_wrong_settings(self, changes, message):
        with pytest.raises(DataError, match=message):
            EventSettings(**({"test_share": 0.3} | changes)).split(np.full(10, ""), np.zeros(10, np.int64))


def test_a_task_takes_recordings_and_checks_their_shape(folder):
    task = nmnist(path=folder("nmnist"))
    x, y = task.train.x, task.train.y

    def made(**changes):
        parts = {"train": task.train, "val": task.val, "test": task.test} | changes
        return Task("t", "classification", **parts, classes=task.classes, spiking=True)

    assert made().n_steps == 30
    assert made(val=Split(x.take(np.zeros(0, int)), y[:0])).val.x.shape == (0, 30, 2312)
    with pytest.raises(DataError, match=r"train.y has shape \(4,\)"):
        made(train=Split(x, y[:-1]))
    with pytest.raises(DataError, match="no empty axis"):
        made(test=Split(x.take(np.zeros(0, int)), y[:0]))
    with pytest.raises(DataError, match=r"train.x has shape .* expected \[N, F\]"):
        Task("t", "classification", task.train, task.val, task.test, task.classes)


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
    assert handwritten_digits(n_train=50).fingerprints == {}


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
    with pytest.raises(DataError, match=r"Use more recordings or, .* data.test_share \(0.2"):
        event_folder(root)


def test_can_be_pickled_and_copied(root):
    task = event_folder(root)
    for other in (pickle.loads(pickle.dumps(task)), copy.deepcopy(task)):
        assert np.array_equal(other.train.x[:], task.train.x[:])
        assert (other.binning, other.sensor) == (Binning(10.0, 100, zero="first-event"), task.sensor)


class TestPublished:
    """The sets themselves, where they are."""

    @needs("nmnist_small")
    def test_nmnist(self):
        task = nmnist(path=DATA, downsample=2, n_folds=5, fold=0)
        assert (len(task.train), len(task.val), len(task.test)) == (792, 88, 220)
        assert (task.n_classes, task.image_shape) == (10, (2, 17, 17))
        all_of_them = np.array([105, 130, 107, 104, 119, 99, 104, 132, 89, 111])
        assert (np.abs(np.bincount(task.test.y) - all_of_them / 5) < 1).all()
        own = nmnist(path=DATA / "nmnist_small", downsample=2)
        assert (len(own.train), len(own.val), len(own.test)) == (900, 100, 100)

    @needs("poker_dvs")
    def test_poker_dvs_is_the_loop(self):
        task = poker_dvs(path=DATA, n_val=4)
        assert (len(task.train), len(task.val), len(task.test)) == (44, 4, 20)
        folder = DATA / "poker_dvs" / "POKERDVS" / "pips_test" / "cl"
        files = sorted(folder.iterdir())
        expected = [Binning(1.0, 30).spikes(read_array(file), (35, 35)) for file in files]
        assert np.array_equal(task.test.x[task.test.y == 0], expected)

    @needs("mnist_dvs_samples")
    def test_mnist_dvs_samples_are_of_one_digit(self):
        with pytest.raises(DataError, match="all of class 0"):
            mnist_dvs(path=DATA)
