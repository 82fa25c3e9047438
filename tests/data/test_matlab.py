"""Tasks from a MATLAB file: folds, scaling, and what a wrong file is told."""

import struct

import numpy as np
import pytest
from scipy import io, sparse

from bisnn_pyro.data import Standardiser, load_mat
from bisnn_pyro.data.matlab_structure import check_structure
from bisnn_pyro.errors import DataError
from tests.real_data import DATA, needs

N, F = 43, 6


def variables(**changes):
    """A good file's variables, some replaced, or dropped where the change is None."""
    rng = np.random.default_rng(0)
    good = {
        "data": rng.normal(size=(N, F)),
        "labels": (2 * (np.arange(N)[:, None] % 2) - 1).astype(np.int16),
        "T": N,
        "default_Test_ratio": 0.5,
    }
    good.update(changes)
    return {name: value for name, value in good.items() if value is not None}


@pytest.fixture
def save(tmp_path):
    def write(name="words.mat", **changes):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        io.savemat(tmp_path / name, variables(**changes))
        return tmp_path / name

    return write


def row_codes(n=N):
    """Features from which a row can be told: its number in binary."""
    return ((np.arange(n)[:, None] >> np.arange(F)) & 1).astype(float)


def rows_of(split):
    return (split.x.astype(int) << np.arange(F)).sum(1)


class TestFolds:
    def test_every_row_is_tested_once_in_the_files_order(self, save):
        path = save(data=row_codes())
        tested = []
        for fold in range(8):
            task = load_mat(path, fold=fold)
            test, train = rows_of(task.test), rows_of(task.train)
            assert sorted([*test, *train]) == list(range(N))
            assert np.array_equal(task.test.y, test % 2)
            assert np.array_equal(task.train.y, train % 2)
            tested += test.tolist()
        assert tested == list(range(N))

    def test_the_bounds_are_those_of_the_papers_code(self, save):
        # Rows (counted from 1) round(1 + (k-1) T/K) to round(k T/K), halves away from zero.
        def matlab_round(v):
            return int(np.floor(v + 0.5))

        path = save(data=row_codes())
        for k in range(1, 9):
            first, last = matlab_round(1 + (k - 1) * N / 8), matlab_round(k * N / 8)
            assert rows_of(load_mat(path, fold=k - 1).test).tolist() == list(range(first - 1, last))

    def test_sorted_labels_need_the_shuffle(self, save):
        labels = np.sort(variables()["labels"], axis=0)
        path = save(data=row_codes(), labels=labels)
        with pytest.raises(DataError, match=r"no training row .* has the label -1.*data\.shuffle"):
            load_mat(path, n_folds=2)
        tested = []
        for fold in range(4):
            task = load_mat(path, n_folds=4, fold=fold, shuffle=True)
            tested += rows_of(task.test).tolist()
            assert abs(np.bincount(task.test.y) - np.bincount(task.train.y) / 3).max() <= 1
        assert sorted(tested) == list(range(N))
        assert tested != list(range(N))
        first, again, other = (load_mat(path, shuffle=True, seed=s).test for s in (0, 0, 1))
        assert np.array_equal(first.x, again.x)
        assert not np.array_equal(first.x, other.x)

    def test_validation_and_fewer_training_rows(self, save):
        path = save(data=row_codes())
        whole, task = load_mat(path, fold=2), load_mat(path, fold=2, n_val=8, n_train=20)
        assert len(whole.val) == 0
        assert (len(task.train), len(task.val), len(task.test)) == (20, 8, len(whole.test))
        assert np.array_equal(task.test.x, whole.test.x)
        assert not {*rows_of(task.train)} & {*rows_of(task.val)}
        assert np.bincount(task.val.y).tolist() == [4, 4]
        assert len(load_mat(path, n_train=10**6).train) == len(load_mat(path).train)


class TestFeatures:
    def test_scaled_by_the_training_rows_alone(self, save):
        raw = variables()["data"] * 5
        raw[:5, 2], raw[5:, 3] = 99.0, 1.5
        task = load_mat(save(data=raw))
        low, high = raw[5:].min(0), raw[5:].max(0)
        expected = np.clip((raw - low) / np.where(high > low, high - low, np.inf), 0, 1)
        assert np.allclose(task.test.x, expected[:5], atol=1e-6)
        assert np.allclose(task.train.x, expected[5:], atol=1e-6)
        assert (task.test.x[:, 2] == 1).all()
        assert not task.test.x[:, 3].any()
        assert task.train.x.dtype == np.float32
        assert np.allclose(task.scaler.transform(raw), expected, atol=1e-6)

    def test_standardised_over_all_rows_or_not_is_the_same_to_the_standard_encoder(self, save):
        # What the paper's files were standardised by cannot reach the training rows' own statistics.
        raw = np.random.default_rng(3).poisson(0.7, size=(N, F)).astype(float)
        leaky = (raw - raw.mean(0)) / raw.std(0, ddof=1)
        one, other = load_mat(save(data=raw)), load_mat(save("z.mat", data=leaky))
        assert np.allclose(one.test.x, other.test.x, atol=1e-6)
        means = [Standardiser.fit(task.train.x).mean for task in (one, other)]
        assert np.allclose(*means, atol=1e-6)

    @pytest.mark.parametrize("kind", [sparse.csc_matrix, sparse.coo_matrix])
    def test_sparse_equals_dense(self, save, kind):
        raw = np.random.default_rng(1).poisson(0.3, size=(N, F)).astype(float)
        dense, thin = load_mat(save(data=raw)), load_mat(save("sparse.mat", data=kind(raw)))
        for part in ("train", "test"):
            assert np.array_equal(getattr(dense, part).x, getattr(thin, part).x)

    @pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32, bool])
    def test_number_types(self, save, dtype):
        task = load_mat(save(data=row_codes().astype(dtype)))
        assert np.array_equal(task.test.x, row_codes()[:5])

    def test_names_and_labels(self, save):
        more = {"other": np.zeros((N, F)), "weights": np.ones((1, N))}
        path = save(labels=np.arange(N)[None] % 3 + 1.0, **more)
        task = load_mat(path, x="data", y="labels")
        assert (task.name, task.classes, task.n_classes) == ("words", ("1", "2", "3"), 3)
        assert task.labels.decode(task.test.y).tolist() == [1, 2, 3, 1, 2]


class TestPlaces:
    def test_file_folder_parent_and_environment(self, save, monkeypatch, tmp_path):
        path = save("texts/words.mat")
        texts = tmp_path / "texts"
        monkeypatch.setenv("BISNN_DATA", str(tmp_path))
        for task in (
            load_mat(path),
            load_mat(texts),
            load_mat(tmp_path, "words"),
            load_mat(file="words.mat"),
        ):
            assert task.name == "words"
        save("texts/more.mat")
        assert load_mat(path=str(texts), file="more").name == "more"
        with pytest.raises(DataError, match=r"holds more\.mat, words\.mat; name one with data\.file"):
            load_mat(texts)
        with pytest.raises(DataError, match=r"no word\.mat; they hold more\.mat, words\.mat"):
            load_mat(texts, "word")
        with pytest.raises(DataError, match="give only one"):
            load_mat(path, "more")

    def test_nowhere(self, tmp_path, monkeypatch):
        monkeypatch.delenv("BISNN_DATA", raising=False)
        with pytest.raises(DataError, match="--data-dir"):
            load_mat()
        with pytest.raises(DataError, match="does not exist"):
            load_mat(tmp_path / "none.mat")
        with pytest.raises(DataError, match=r"hold no \.mat file"):
            load_mat(tmp_path)


BAD = variables()["data"].copy()
BAD[3, 2] = np.nan


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({}, {"fold": 8}, r"data\.fold is 8; expected 0\.\.7"),
        ({}, {"fold": -1}, r"data\.fold is -1"),
        ({}, {"fold": "a"}, r"data\.fold is 'a'"),
        ({}, {"n_folds": 1}, r"data\.n_folds is 1"),
        ({}, {"n_folds": 44}, r"data\.n_folds is 44, but there are 43"),
        ({}, {"n_val": 38}, r"data\.n_val is 38; expected fewer than the 38"),
        ({}, {"n_train": 0}, "n_train is 0"),
        ({}, {"n_train": 1}, r"no training row .* has the label"),
        ({}, {"shuffle": 1}, r"data\.shuffle is 1"),
        ({}, {"x": "dat"}, r"data\.x is 'dat'; did you mean 'data'"),
        ({}, {"y": "T"}, r"T of .* has shape \(1, 1\); expected one label for each of the 43 rows"),
        ({"data": None}, {}, r"none is a matrix of features.*name it with data\.x"),
        ({"more": np.zeros((N, 2))}, {}, r"2 could be the matrix of features"),
        ({"labels": None}, {}, r"none is a vector of labels"),
        ({"day": np.zeros((N, 1))}, {}, r"2 could be the vector of labels.*data\.y"),
        ({"labels": np.zeros((N - 1, 1))}, {"y": "labels"}, r"shape \(42, 1\); expected one label"),
        ({"data": variables()["data"].T}, {"y": "labels"}, r"\[F, N\] must be transposed"),
        ({"data": "words"}, {"x": "data"}, "of the class char; expected numbers"),
        ({"data": np.zeros((N, F), complex)}, {}, "has type complex128"),
        ({"data": BAD}, {}, r"data of .* holds 1 NaN.*\(3, 2\)"),
        ({"data": np.full((N, F), 1e300)}, {}, "float32 does not hold"),
        ({"labels": np.ones((N, 1))}, {}, "are all 1; expected 2 classes"),
        ({"labels": np.linspace(0, 1, N)[:, None]}, {}, "not whole numbers"),
    ],
)
def test_what_is_wrong_is_named(save, changes, options, message):
    with pytest.raises(DataError, match=message):
        load_mat(save(**changes), **options)


class TestNoMatFile:
    @pytest.mark.parametrize("content", [b"", b"x,y\n1,2\n" * 40, b"\x00" * 200])
    def test_other_content(self, tmp_path, content):
        (tmp_path / "a.mat").write_bytes(content)
        with pytest.raises(DataError, match="cannot be read as a MATLAB file"):
            load_mat(tmp_path / "a.mat")

    def test_cut_short(self, save):
        path = save(data=None, words=variables()["data"])  # the last variable
        path.write_bytes(path.read_bytes()[:-100])
        with pytest.raises(DataError, match="cannot be read as a MATLAB file"):
            load_mat(path)

    def test_version_7_3(self, tmp_path):
        header = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM"
        (tmp_path / "a.mat").write_bytes(header.ljust(512, b"\x00") + b"\x89HDF\r\n\x1a\n")
        with pytest.raises(DataError, match=r"7\.3 file \(HDF5\).*save -v7"):
            load_mat(tmp_path / "a.mat")


@needs("ebp_text")
def test_the_papers_smaller_task():
    task = load_mat(DATA, "reuters_I654_I65", fold=7)
    assert (task.train.x.shape, task.test.x.shape) == ((1750, 11463), (250, 11463))
    assert task.classes == ("-1", "1")
    assert np.bincount(task.test.y).tolist() == [127, 123]


class TestStructure:
    """Damage that scipy's reader does not survive."""

    def damage(self, path, old: bytes, new: bytes):
        data = path.read_bytes()
        assert old in data
        path.write_bytes(data.replace(old, new, 1))
        return path

    @pytest.mark.parametrize("kind", [8, 10, 14, 21, 99, 0x7FFF, 0xFFFF])
    def test_a_part_of_an_unknown_type(self, save, kind):
        values = struct.pack("<II", 9, 8 * N * F)  # doubles
        path = self.damage(save(), values, struct.pack("<II", kind, 8 * N * F))
        with pytest.raises(DataError, match=f"as a MATLAB file .*: a variable has a part of type {kind}"):
            load_mat(path)

    @pytest.mark.parametrize("length", [8 * N * F + 64, 2**31, 2**32 - 1])
    def test_a_part_longer_than_its_variable(self, save, length):
        path = self.damage(save(), struct.pack("<II", 9, 8 * N * F), struct.pack("<II", 9, length))
        with pytest.raises(DataError, match="cannot be read as a MATLAB file"):
            load_mat(path)

    @pytest.mark.parametrize("index", [5000, -1, 2**31 - 1])
    def test_indices_beyond_a_sparse_matrix(self, tmp_path, index):
        x = sparse.csc_matrix((np.ones(3), ([1000, 7, 9], [0, 1, 1])), (1001, 2))
        y = np.arange(1001)[:, None] % 2
        io.savemat(tmp_path / "a.mat", {"x": x, "y": y})
        path = self.damage(tmp_path / "a.mat", struct.pack("<ii", 1000, 7), struct.pack("<ii", index, 7))
        with pytest.raises(DataError, match="cannot be read as a MATLAB file"):
            load_mat(path, shuffle=True)

    @pytest.mark.parametrize("compressed", [False, True])
    def test_whole_files_pass(self, tmp_path, compressed):
        others = {
            "words": "some text",
            "cell": np.array([1, "a"], object),
            "empty": np.zeros((0, 3)),
            "one": 1j,
        }
        io.savemat(tmp_path / "a.mat", variables(**others), do_compression=compressed)
        check_structure(tmp_path / "a.mat")
