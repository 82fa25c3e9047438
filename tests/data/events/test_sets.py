"""The sets as tasks: splits, folds, settings, partial copies, and the published recordings themselves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bisnn_pyro.data import Recordings, Split, Task, has_folds, load_task, make_encoder, task_settings
from bisnn_pyro.data.events.array_file import read_array
from bisnn_pyro.data.events.binning import Binning
from bisnn_pyro.data.events.shares import Shares
from bisnn_pyro.errors import DataError
from tests.data.events.writers import EVENT_SETS, make_events, write_bin, write_class_folders, write_set
from tests.real_data import DATA, needs


@pytest.fixture
def folder(tmp_path):
    """Write a small copy of a set in its real format."""

    def write(name):
        if name == "shd":
            pytest.importorskip("h5py")
        return write_set(name, tmp_path / "data")

    return write


class TestEverySet:
    @pytest.mark.parametrize("name", EVENT_SETS)
    def test_becomes_a_task_that_tells_its_classes_apart(self, folder, name):
        """The writers give each class a region of its own: nearest mean counts know every test recording."""
        task = load_task(name, path=folder(name), n_val=2)
        assert task.spiking
        assert task.notes == ()
        assert isinstance(task.train.x, Recordings)
        assert np.prod(task.image_shape) == task.n_features
        mean = np.stack([task.train.x[task.train.y == k].sum((0, 1)) for k in range(task.n_classes)])
        counts = task.test.x[:].sum(1) @ mean.T
        assert np.array_equal(counts.argmax(1), task.test.y)
        encoded = make_encoder("spikes", n_steps=task.n_steps)
        import torch

        assert encoded(torch.from_numpy(task.val.x[:])).shape == (task.n_steps, 2, task.n_features)

    @pytest.mark.parametrize("name", EVENT_SETS)
    def test_has_folds_and_common_settings(self, name):
        assert has_folds(name)
        common = {"path", "time_step", "n_steps", "start", "downsample", "n_train", "n_val", "n_test"}
        assert common | {"seed", "on_error", "cache"} <= task_settings(name).keys()

    @pytest.mark.parametrize("name", EVENT_SETS)
    def test_no_files(self, tmp_path, name):
        (tmp_path / "empty").mkdir()
        with pytest.raises(DataError, match=rf"{tmp_path / 'empty'} has no "):
            load_task(name, path=tmp_path / "empty")


class TestShapes:
    def test_nmnist(self, folder):
        task = load_task("nmnist", path=folder("nmnist"))
        assert (task.n_steps, task.image_shape, task.classes) == (30, (2, 34, 34), ("0", "1"))
        assert (len(task.train), len(task.val), len(task.test)) == (5, 1, 6)
        assert task.labels.labels == (0, 1)

    def test_settings_reach_the_binning(self, folder):
        changes = {"time_step": 5, "n_steps": 7, "crop": [1, 2, 20, 10], "downsample": 3}
        task = load_task("nmnist", path=folder("nmnist"), polarity="merge", **changes)
        assert (task.n_steps, task.image_shape) == (7, (1, 7, 4))

    def test_poker_classes_are_names(self, folder):
        task = load_task("poker-dvs", path=folder("poker-dvs"), n_val=0)
        assert task.classes == ("cl", "di", "he", "sp")
        assert task.image_shape == (2, 35, 35)
        assert len(task.val) == 0

    def test_mnist_dvs_starts_at_the_first_event_and_holds_out_a_share(self, folder):
        root = folder("mnist-dvs")
        task = load_task("mnist-dvs", path=root, test_share=0.25, crop=[0, 20, 64, 64], downsample=1)
        assert task.image_shape == (2, 64, 64)
        assert np.bincount(task.test.y).tolist() == [1, 1]
        assert task.train.x[:].sum((0, 2))[0] > 0
        with pytest.raises(DataError, match=r"data.scale is 5; expected one of 4, 8, 16"):
            load_task("mnist-dvs", path=root, scale=5)
        with pytest.raises(DataError, match="has no recordings of mnist-dvs"):
            load_task("mnist-dvs", path=root, scale=8)

    def test_dvs_gesture(self, folder):
        task = load_task("dvs-gesture", path=folder("dvs-gesture"), n_val=0)
        assert (task.image_shape, task.classes) == ((2, 32, 32), ("1", "2", "3"))
        assert (len(task.train), len(task.test)) == (9, 3)

    def test_shd(self, folder):
        task = load_task("shd", path=folder("shd"), downsample=5)
        assert (task.image_shape, task.classes, task.n_steps) == ((1, 1, 140), ("0", "3"), 100)

    def test_own_folders(self, tmp_path):
        root = write_class_folders(tmp_path / "mine", classes=("left", "right"), parts=(".",), n=5)
        task = load_task("events", path=root, sensor=[40, 50], zero="clock")
        assert (task.name, task.classes, task.image_shape) == ("mine", ("left", "right"), (2, 40, 50))
        assert (len(task.train), len(task.val), len(task.test)) == (7, 1, 2)
        with pytest.raises(DataError, match=r"data.sensor is 40; expected \[height, width\]"):
            load_task("events", path=root, sensor=40)
        with pytest.raises(DataError, match="outside the sensor of 20 x 20"):
            load_task("events", path=root, sensor=[20, 20])

    def test_a_flat_folder_has_no_classes(self, tmp_path):
        write_bin(tmp_path / "a.bin", make_events(5))
        with pytest.raises(DataError, match="there are recordings, but in no folder of a class"):
            load_task("events", path=tmp_path)


class TestPartialCopies:
    def test_a_part_only(self, tmp_path):
        root = write_class_folders(tmp_path, parts=("Train",), n=8)
        task = load_task("nmnist", path=root)
        assert (len(task.train), len(task.val), len(task.test)) == (13, 1, 2)

    def test_a_class_in_the_test_part_only(self, tmp_path):
        root = write_class_folders(tmp_path)
        write_bin(root / "Test" / "7" / "1.bin", make_events(9))
        with pytest.raises(DataError, match=r"no training recording in .* is of class 7"):
            load_task("nmnist", path=root)

    def test_one_class(self, tmp_path):
        root = write_class_folders(tmp_path, classes=("3",))
        with pytest.raises(DataError, match="all of class 3; expected 2 classes"):
            load_task("nmnist", path=root)

    def test_damaged_recordings_are_counted(self, tmp_path):
        root = write_class_folders(tmp_path, n=8)
        for i in range(7):
            (root / "Train" / "0" / f"{i:05d}.bin").write_bytes(b"abc")
        with pytest.raises(DataError, match=r"Train/0/00000.bin: 3 bytes"):
            load_task("nmnist", path=root)
        task = load_task("nmnist", path=root, on_error="skip", n_val=0)
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
            train, val, test = Shares(n_folds=k, fold=fold, n_val=n_val, seed=seed).split(parts, y)
            assert sorted([*train, *val, *test]) == list(range(n))
            tested += test.tolist()
            for c in range(n_classes):
                assert abs((y[test] == c).sum() - (y == c).sum() / k) < 1
        assert sorted(tested) == list(range(n))

    def test_the_own_test_part_and_its_numbers(self):
        parts, y = np.repeat(["train", "test"], [60, 20]), np.arange(80) % 4
        train, val, test = Shares().split(parts, y)
        assert (len(train), len(val)) == (54, 6)
        assert test.tolist() == list(range(60, 80))
        fewer = Shares(n_train=8, n_val=12, n_test=4).split(parts, y)
        assert [np.bincount(y[rows]).tolist() for rows in fewer] == [[2] * 4, [3] * 4, [1] * 4]
        # Validation and test recordings do not depend on n_train.
        assert np.array_equal(fewer[1], Shares(n_val=12).split(parts, y)[1])

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
            ({"test_share": 0}, "0 would test"),
            ({"test_share": 1}, "10 would test"),
        ],
    )
    def test_wrong_settings(self, changes, message):
        with pytest.raises(DataError, match=message):
            Shares(**({"test_share": 0.3} | changes)).split(np.full(10, ""), np.zeros(10, np.int64))


def test_a_task_takes_recordings_and_checks_their_shape(folder):
    task = load_task("nmnist", path=folder("nmnist"))
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


class TestPublished:
    """The sets themselves, where they are."""

    @needs("nmnist_small")
    def test_nmnist(self):
        task = load_task("nmnist", path=DATA, downsample=2, n_folds=5, fold=0)
        assert (len(task.train), len(task.val), len(task.test)) == (792, 88, 220)
        assert (task.n_classes, task.image_shape) == (10, (2, 17, 17))
        all_of_them = np.array([105, 130, 107, 104, 119, 99, 104, 132, 89, 111])
        assert (np.abs(np.bincount(task.test.y) - all_of_them / 5) < 1).all()
        own = load_task("nmnist", path=DATA / "nmnist_small", downsample=2)
        assert (len(own.train), len(own.val), len(own.test)) == (900, 100, 100)

    @needs("poker_dvs")
    def test_poker_dvs_is_the_loop(self):
        task = load_task("poker-dvs", path=DATA, n_val=4)
        assert (len(task.train), len(task.val), len(task.test)) == (44, 4, 20)
        folder = DATA / "poker_dvs" / "POKERDVS" / "pips_test" / "cl"
        files = sorted(folder.iterdir())
        expected = [Binning(1.0, 30).spikes(read_array(file), (35, 35)) for file in files]
        assert np.array_equal(task.test.x[task.test.y == 0], expected)

    @needs("mnist_dvs_samples")
    def test_mnist_dvs_samples_are_of_one_digit(self):
        with pytest.raises(DataError, match="all of class 0"):
            load_task("mnist-dvs", path=DATA)
