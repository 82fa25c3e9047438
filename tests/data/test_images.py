"""Image sets: the idx format, where the files are found, the split, and every refusal."""

import gzip
import hashlib
import http.server
import threading

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as hnp

from bisnn_pyro.data import fashion_mnist, handwritten_digits, images, location, mnist
from bisnn_pyro.data.images import read_idx
from bisnn_pyro.errors import DataError
from tests.data.idx_files import FILES, idx_bytes, tiny_arrays, write_set
from tests.real_data import DATA, needs


@pytest.fixture(autouse=True)
def no_surroundings(monkeypatch, tmp_path):
    """Neither the user's folders nor the network; a test that wants one says so."""
    monkeypatch.delenv("BISNN_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(location, "RETRIES", 0)
    for published in (images.MNIST, images.FASHION_MNIST):
        monkeypatch.setattr(published, "url", "http://127.0.0.1:9/")


class TestIdx:
    @given(
        array=hnp.arrays(np.uint8, st.one_of(st.tuples(st.integers(0, 9)), st.just((3, 4, 2)))),
        compressed=st.booleans(),
    )
    @settings(deadline=None, max_examples=40)
    def test_reads_what_was_written(self, tmp_path_factory, array, compressed):
        file = tmp_path_factory.mktemp("idx") / "a"
        content = idx_bytes(array)
        file.write_bytes(gzip.compress(content) if compressed else content)
        read = read_idx(file, array.ndim)
        assert read.dtype == np.uint8
        assert np.array_equal(read, array)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "not an idx file: it is empty"),
            (b"PK\3\4 and more", "not an idx file: it begins with the bytes 50 4b 03 04"),
            (bytes([0, 0, 0x0D, 1, 0, 0, 0, 1, 0, 0, 0, 0]), "values of type 0x0d; expected 0x08"),
            (idx_bytes(np.zeros((2, 3, 3))), r"an array of 3 axes; expected 1, labels \[N\]"),
            (bytes([0, 0, 8, 1, 0, 0]), "cut short within its header"),
            (idx_bytes(np.zeros(9))[:-1], r"holds 8 values, but its header says \[9\]"),
            (idx_bytes(np.zeros(9)) + b"\0", r"holds 10 or more values, but its header says \[9\]"),
            (gzip.compress(idx_bytes(np.zeros(999)), mtime=0)[:-12], "is cut short"),
            (
                gzip.compress(idx_bytes(np.arange(99)), mtime=0)[:20] + b"\xff" * 9,
                "damaged gzip file|cut short",
            ),
            (gzip.compress(idx_bytes(np.zeros(9)), mtime=0)[:-8] + b"\0" * 8, "damaged gzip file"),
        ],
    )
    def test_what_is_wrong_is_named(self, tmp_path, content, message):
        (tmp_path / "a").write_bytes(content)
        with pytest.raises(DataError, match=message):
            read_idx(tmp_path / "a", 1)

    def test_a_file_that_is_not_there(self, tmp_path):
        with pytest.raises(DataError, match="cannot be read: No such file"):
            read_idx(tmp_path / "a", 1)


class TestLocation:
    @pytest.mark.parametrize("below", ["", "raw", "mnist", "MNIST/raw", "MNIST"])
    @pytest.mark.parametrize("compressed", [False, True])
    def test_own_folder_and_parent(self, tmp_path, below, compressed):
        write_set(tmp_path / "data" / below, compressed)
        found = images.MNIST.locate(tmp_path / "data")
        assert list(found) == list(FILES)
        assert {f.parent for f in found.values()} == {tmp_path / "data" / below}

    @pytest.mark.parametrize("below", ["fashion-mnist", "FashionMNIST/raw"])
    def test_the_parent_of_two_sets(self, tmp_path, below):
        write_set(tmp_path / "mnist")
        write_set(tmp_path / below, n_train=30)
        assert len(fashion_mnist(tmp_path, n_val=10).train) == 20
        assert len(mnist(tmp_path, n_val=10).train) == 50

    def test_the_environment_variable_comes_after_the_path(self, tmp_path, monkeypatch):
        write_set(tmp_path / "all" / "mnist", compressed=True)
        write_set(tmp_path / "other", n_train=30)
        monkeypatch.setenv("BISNN_DATA", str(tmp_path / "all"))
        assert len(mnist(n_val=10).train) == 50
        assert len(mnist(tmp_path / "other", n_val=10).train) == 20

    def test_nothing_is_written_into_the_folder(self, tmp_path):
        write_set(tmp_path / "mnist", compressed=True)
        before = {f: (f.stat().st_mtime_ns, f.read_bytes()) for f in (tmp_path / "mnist").iterdir()}
        mnist(tmp_path / "mnist", n_val=10)
        assert before == {f: (f.stat().st_mtime_ns, f.read_bytes()) for f in (tmp_path / "mnist").iterdir()}

    def test_refusals(self, tmp_path, monkeypatch):
        with pytest.raises(DataError, match=r"data.path = .*nowhere does not exist.*--data-dir"):
            mnist(tmp_path / "nowhere")
        (tmp_path / "file").write_text("")
        with pytest.raises(DataError, match="is a file; expected a folder"):
            mnist(tmp_path / "file")
        with pytest.raises(DataError, match=r"data\.path is 3"):
            mnist(3)
        with pytest.raises(DataError, match=r"no files of mnist: looked there and in its mnist.*holds file"):
            mnist(tmp_path)
        write_set(tmp_path / "part")
        (tmp_path / "part" / FILES[3]).unlink()
        with pytest.raises(DataError, match=r"only a part of mnist: t10k-labels-idx1-ubyte \(or .gz\)"):
            mnist(tmp_path / "part")
        monkeypatch.setenv("BISNN_DATA", str(tmp_path / "nowhere"))
        with pytest.raises(DataError, match=r"variable BISNN_DATA is .*nowhere"):
            mnist()

    def test_neither_folder_nor_network(self, tmp_path, monkeypatch):
        """Port 9 of this machine refuses at once, as a machine without a network does."""
        ways = r"no connection to 127.0.0.1:9.*--data-dir DIR.*BISNN_DATA=DIR where DIR/mnist"
        with pytest.raises(DataError, match=rf"data.path and BISNN_DATA are not set.*{ways}"):
            mnist()
        monkeypatch.setenv("BISNN_DATA", str(tmp_path))
        with pytest.raises(DataError, match=rf"BISNN_DATA = .* has none.*{ways}"):
            mnist()


@pytest.fixture
def publisher(tmp_path, monkeypatch):
    """A web server of this test's own in the publisher's place; gives its folder and what was asked for."""
    folder = tmp_path / "published"
    write_set(folder, compressed=True)
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=folder)

        def log_message(self, *_):
            asked.append(self.path)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    md5 = {f"{n}.gz": hashlib.md5((folder / f"{n}.gz").read_bytes()).hexdigest() for n in FILES}
    url = f"http://127.0.0.1:{server.server_port}/"
    monkeypatch.setattr(images.MNIST, "url", url)
    monkeypatch.setattr(images.MNIST, "md5", md5)
    yield folder, asked
    server.shutdown()
    thread.join()
    server.server_close()


class TestDownload:
    def test_once_into_the_cache(self, publisher, tmp_path):
        _, asked = publisher
        first = mnist(n_val=10)
        assert sorted(asked) == sorted(f"/{name}.gz" for name in FILES)
        cache = tmp_path / "cache" / "bisnn_pyro" / "mnist"
        assert {f.name for f in cache.iterdir()} == {f"{name}.gz" for name in FILES}
        again = mnist(n_val=10)
        assert len(asked) == 4
        assert np.array_equal(first.train.x, again.train.x)

    def test_another_checksum_is_refused_and_not_kept(self, publisher, tmp_path):
        folder, _ = publisher
        (folder / f"{FILES[1]}.gz").write_bytes(gzip.compress(idx_bytes(np.ones(60))))
        with pytest.raises(DataError, match=r"MD5 hash of downloaded file .*does not match"):
            mnist(n_val=10)
        assert not (tmp_path / "cache" / "bisnn_pyro" / "mnist" / f"{FILES[1]}.gz").exists()

    def test_a_file_that_the_server_lacks(self, publisher):
        folder, _ = publisher
        (folder / f"{FILES[0]}.gz").unlink()
        with pytest.raises(DataError, match=r"404.*--data-dir DIR"):
            mnist(n_val=10)


@pytest.fixture
def folder(tmp_path):
    write_set(tmp_path / "set", n_train=200, n_test=50)
    return tmp_path / "set"


class TestTask:
    def test_pixels_and_labels_are_those_of_the_files(self, folder):
        task = mnist(folder, n_val=40)
        arrays = tiny_arrays(200, 50)
        assert (task.name, task.n_classes, task.image_shape) == ("mnist", 10, (1, 28, 28))
        assert np.array_equal(task.test.x, (arrays[FILES[2]].reshape(50, 784) / 255).astype(np.float32))
        assert np.array_equal(task.test.y, arrays[FILES[3]])
        assert task.test.x.dtype == np.float32
        # Training and validation images together are the file's training images, each once.
        together = np.concatenate([task.train.x, task.val.x])
        wanted = (arrays[FILES[0]].reshape(200, 784) / 255).astype(np.float32)
        assert sorted(map(bytes, together)) == sorted(map(bytes, wanted))
        for split in (task.train, task.val):
            lit = split.x.reshape(-1, 28, 28)[np.arange(len(split)), 2 * split.y]
            assert (lit == 1).all()

    def test_the_split_is_fixed_and_in_proportion(self, folder):
        task, few = mnist(folder, n_val=40), mnist(folder, n_train=30, n_val=40, n_test=20)
        assert [len(s) for s in (task.train, task.val, task.test)] == [160, 40, 50]
        assert [len(s) for s in (few.train, few.val, few.test)] == [30, 40, 20]
        assert np.array_equal(few.val.x, task.val.x)
        assert np.bincount(few.train.y).tolist() == [3] * 10
        assert np.bincount(few.val.y).tolist() == [4] * 10
        assert np.bincount(few.test.y).tolist() == [2] * 10
        assert {bytes(x) for x in few.train.x} <= {bytes(x) for x in task.train.x}
        assert {bytes(x) for x in few.test.x} <= {bytes(x) for x in task.test.x}
        assert not np.array_equal(mnist(folder, n_val=40, seed=1).val.x, task.val.x)

    def test_maxima_above_what_is_there(self, folder):
        task = mnist(folder, n_train=10**6, n_val=40, n_test=10**6)
        assert (len(task.train), len(task.test)) == (160, 50)

    def test_a_class_that_is_missing_keeps_its_number(self, folder):
        arrays = tiny_arrays(200, 50)
        for file in (FILES[1], FILES[3]):
            (folder / file).write_bytes(idx_bytes(np.where(arrays[file] == 3, 9, arrays[file])))
        task = mnist(folder, n_val=40)
        assert task.classes == tuple("0123456789")
        assert task.train.y.max() == 9

    def test_the_scaler_takes_raw_images(self, folder):
        task = mnist(path=folder, n_val=40)
        raw = tiny_arrays(200, 50)[FILES[2]]
        assert np.array_equal(task.scaler.transform(raw), task.test.x)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"n_val": 200}, "data.n_val is 200, but there are 200 training images; lower it"),
            ({}, "data.n_val is 5000, but there are 200"),
            ({"n_val": 0}, "data.n_val is 0"),
            ({"n_val": 40, "n_train": 0}, "n_train is 0"),
            ({"n_val": 40, "n_test": 0}, "data.n_test is 0"),
            ({"n_val": 40, "seed": -1}, "seed is -1"),
        ],
    )
    def test_numbers_out_of_range(self, folder, changes, message):
        with pytest.raises(DataError, match=message):
            mnist(folder, **changes)

    @pytest.mark.parametrize(
        ("name", "array", "message"),
        [
            (FILES[0], np.zeros((200, 28, 27)), r"images \[200, 28, 27\]; expected \[N, 28, 28\]"),
            (FILES[0], np.zeros((0, 28, 28)), r"images \[0, 28, 28\]"),
            (FILES[1], np.zeros(199), "holds 200 images but train-labels-idx1-ubyte 199 labels"),
            (FILES[3], np.full(50, 10), "holds the label 10; expected 0 to 9"),
            (FILES[3], np.zeros((50, 28, 28)), "an array of 3 axes; expected 1"),
        ],
    )
    def test_files_of_something_else(self, folder, name, array, message):
        (folder / name).write_bytes(idx_bytes(array))
        with pytest.raises(DataError, match=message):
            mnist(folder, n_val=40)

    def test_the_other_set_is_recognised(self, folder):
        labels = np.resize([*images.FASHION_MNIST.first_labels, *range(10)], 200)
        (folder / FILES[1]).write_bytes(idx_bytes(labels))
        with pytest.raises(DataError, match="holds fashion-mnist, not mnist; set data"):
            mnist(folder, n_val=40)
        assert fashion_mnist(folder, n_val=40).name == "fashion-mnist"


@needs("mnist")
def test_the_published_set():
    task = mnist(DATA)
    assert [len(s) for s in (task.train, task.val, task.test)] == [55000, 5000, 10000]
    assert np.bincount(np.concatenate([task.train.y, task.val.y])).tolist() == [
        *(5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949)
    ]
    # Mean and deviation of all training pixels, as every MNIST tutorial gives them; here 55,000 of them.
    assert task.train.x.mean() == pytest.approx(0.1307, abs=5e-4)
    assert task.train.x.std() == pytest.approx(0.3081, abs=5e-4)
    with pytest.raises(DataError, match="holds mnist, not fashion-mnist"):
        fashion_mnist(DATA / "mnist")


KEPT = [7, 2, 3]


@pytest.fixture(params=["digits", "mnist", "fashion-mnist"])
def load(request, tmp_path):
    """A loader of a set, tiny ones of the published."""
    if request.param == "digits":
        return lambda **settings: handwritten_digits(**settings)
    arrays = write_set(tmp_path / "set", n_train=200, n_test=50)
    assert set(arrays["t10k-labels-idx1-ubyte"]) == set(range(10))
    make = mnist if request.param == "mnist" else fashion_mnist
    return lambda **settings: make(path=tmp_path / "set", n_val=40, **settings)


def test_each_part_is_that_of_the_whole_set_without_the_others(load):
    whole, some = load(), load(classes=KEPT)
    assert some.classes == ("2", "3", "7")
    assert some.n_classes == 3
    for part in ("train", "val", "test"):
        ours, theirs = getattr(some, part), getattr(whole, part)
        stay = np.isin(theirs.y, KEPT)
        assert 0 < len(ours) == stay.sum() < len(theirs)
        np.testing.assert_array_equal(ours.x, theirs.x[stay])
        np.testing.assert_array_equal(some.labels.decode(ours.y), theirs.y[stay])


def test_fewer_training_images_are_of_these_classes_in_proportion(load):
    few = load(classes=KEPT, n_train=9)
    np.testing.assert_array_equal(np.bincount(few.train.y), [3, 3, 3])
    np.testing.assert_array_equal(few.test.x, load(classes=KEPT).test.x)


@pytest.mark.parametrize(
    "classes", [[3], [], [3, 3], [3, 10], [-1, 3], [0.5, 3], "37", 5, 3.5, {3: 7}, [True, 3]]
)
def test_what_is_no_choice_of_classes_is_refused(load, classes):
    with pytest.raises(DataError, match=r"data\.classes"):
        load(classes=classes)


# --- cross-validation of the digits -----------------------------------------------------------------------


def test_every_digit_is_tested_once_in_a_cross_validation():
    from sklearn.datasets import load_digits

    folds = [handwritten_digits(n_folds=10, fold=k) for k in range(10)]
    tested = np.concatenate([task.test.x for task in folds])
    everything = load_digits().data / 16
    assert np.array_equal(np.unique(tested, axis=0), np.unique(everything.astype(tested.dtype), axis=0))
    assert [len(task.test) for task in folds] == [180] * 7 + [179] * 3
    for task in folds:
        assert len(task.train) + len(task.val) + len(task.test) == 1797
        assert len(task.val) == round((1797 - len(task.test)) / 5)
        counts = np.bincount(load_digits().target)
        assert (np.abs(np.bincount(task.test.y) - counts / 10) < 1).all()
        assert (np.abs(np.bincount(task.val.y) - counts * 0.9 / 5) < 2).all()
        rows = {part: {x.tobytes() for x in getattr(task, part).x} for part in ("train", "val", "test")}
        assert not rows["test"] & (rows["train"] | rows["val"])


def test_another_split_seed_is_a_repeat_of_the_cross_validation():
    one, same, other = (handwritten_digits(n_folds=5, fold=2, seed=s) for s in (0, 0, 1))
    assert np.array_equal(one.test.x, same.test.x)
    assert np.array_equal(one.val.x, same.val.x)
    ours, theirs = ({x.tobytes() for x in task.test.x} for task in (one, other))
    # Two random fifths share a fifth of their images: 72 of 360, standard deviation below 8; 4 of them.
    assert abs(len(ours & theirs) - 72) < 32


def test_the_fixed_split_is_that_of_before():
    task = handwritten_digits()
    assert [len(task.train), len(task.val), len(task.test)] == [958, 240, 599]
    hashes = [hashlib.sha256(p.x.tobytes() + p.y.tobytes()) for p in (task.train, task.val, task.test)]
    # Of the version without folds.
    assert [h.hexdigest()[:16] for h in hashes] == [
        "7379fd6436315b53",
        "39b2419f996caf86",
        "b9a058605c67b822",
    ]


@pytest.mark.parametrize(
    "settings", [{"n_folds": 5}, {"fold": 0}, {"n_folds": 5, "fold": 5}, {"n_folds": 1, "fold": 0}]
)
def test_folds_of_digits_that_cannot_be(settings):
    with pytest.raises(DataError, match=r"data\.(n_folds|fold)"):
        handwritten_digits(**settings)


def test_files_under_the_names_that_some_unpack_them_to(tmp_path):
    write_set(tmp_path / "set", n_train=200, n_test=50)
    expected = mnist(tmp_path / "set", n_val=40)
    for name in FILES:
        (tmp_path / "set" / name).rename(tmp_path / "set" / name.replace("-idx", ".idx"))
    assert np.array_equal(mnist(tmp_path / "set", n_val=40).train.x, expected.train.x)


def test_labels_are_counted_before_images_are_read(tmp_path, monkeypatch):
    write_set(tmp_path / "set", n_train=200, n_test=50)
    (tmp_path / "set" / FILES[1]).write_bytes(idx_bytes(np.zeros(199)))
    monkeypatch.setattr(images, "read_idx", None)
    with pytest.raises(DataError, match="holds 200 images but"):
        mnist(tmp_path / "set", n_val=40)
