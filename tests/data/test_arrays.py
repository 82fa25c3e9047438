"""Tasks from an .npz file: what goes in comes out, and every wrong file is told what is wrong."""

import json

import numpy as np
import pytest

from bisnn_pyro.data import (
    FeatureScaler,
    LabelMap,
    TargetScaler,
    handwritten_digits,
    load_npz,
    load_points,
    take_share,
)
from bisnn_pyro.errors import DataError


def arrays(**changes):
    """A good file of features, with arrays replaced, or dropped where the change is None."""
    rng = np.random.default_rng(0)
    good = {
        "x_train": rng.normal(size=(40, 4)),
        "y_train": np.arange(40) % 3 + 1,
        "x_test": rng.normal(size=(12, 4)) * 3,
        "y_test": np.arange(12) % 3 + 1,
    }
    good.update(changes)
    return {name: array for name, array in good.items() if array is not None}


@pytest.fixture
def save(tmp_path):
    def write(**changes):
        np.savez(tmp_path / "mine.npz", **arrays(**changes))
        return tmp_path / "mine.npz"

    return write


class TestFeatures:
    def test_split_scaling_and_labels(self, save):
        task = load_npz(save())
        assert (task.name, task.kind, task.classes) == ("mine", "classification", ("1", "2", "3"))
        assert (len(task.train), len(task.val), len(task.test)) == (32, 8, 12)
        assert task.train.x.min(0).tolist() == [0] * 4
        assert task.train.x.max(0).tolist() == [1] * 4
        assert task.test.x.min() == 0
        assert task.test.x.max() == 1
        assert np.array_equal(task.test.y, np.arange(12) % 3)

    def test_values_by_hand(self, save):
        raw = arrays(x_val=np.full((2, 4), 0.3), y_val=np.array([1, 2]))
        task = load_npz(save(**raw))
        low, high = raw["x_train"].min(0), raw["x_train"].max(0)
        for ours, theirs in ((task.train, "x_train"), (task.val, "x_val"), (task.test, "x_test")):
            expected = np.clip((raw[theirs] - low) / (high - low), 0, 1)
            assert np.allclose(ours.x, expected, atol=1e-7)

    def test_val_is_split_from_train_by_the_seed(self, save):
        path = save()
        a, b, c = load_npz(path), load_npz(path), load_npz(path, seed=1)
        assert np.array_equal(a.val.x, b.val.x)
        assert not np.array_equal(a.val.x, c.val.x)

    def test_val_and_train_partition_the_training_set(self, save):
        codes = (np.arange(40)[:, None, None] >> np.arange(6)[None, :, None]) & 1  # spikes go in unchanged
        task = load_npz(save(x_train=codes, x_test=codes[:12]))
        seen = np.concatenate([part.x[..., 0] @ (1 << np.arange(6)) for part in (task.train, task.val)])
        assert sorted(seen.tolist()) == list(range(40))

    def test_n_train_is_a_maximum_and_the_scale_is_that_of_what_is_left(self, save):
        path = save()
        assert len(load_npz(path, n_train=500).train) == 32
        few = load_npz(path, n_train=9)
        assert np.bincount(few.train.y).tolist() == [3, 3, 3]
        assert few.train.x.max() == 1
        assert len(few.val) == 8

    @pytest.mark.parametrize(
        ("labels", "names"),
        [
            (np.array([-1, 1]), ("-1", "1")),
            (np.array(["cat", "a dog"]), ("a dog", "cat")),
            (np.array([b"no", b"yes"]), ("no", "yes")),
            (np.array([False, True]), ("False", "True")),
            (np.array([3, 250], dtype=np.uint8), ("3", "250")),
        ],
    )
    def test_labels_of_any_kind(self, save, labels, names):
        y = labels[np.arange(40) % 2]
        task = load_npz(save(y_train=y, y_test=y[:12]))
        assert task.classes == names
        back = task.labels.decode(task.test.y)
        text = [v.decode() if isinstance(v, bytes) else v for v in y[:12].tolist()]
        assert back.tolist() == text

    def test_whole_floats_are_labels_when_told_so(self, save):
        y = np.where(np.arange(40) % 2, 1.0, -1.0)
        task = load_npz(save(y_train=y, y_test=y[:12]), target="classification")
        assert task.classes == ("-1", "1")
        task = load_npz(save(y_train=y, y_test=y[:12]), target="regression")
        assert task.kind == "regression"

    def test_a_column_of_targets_is_a_vector(self, save):
        y = arrays()["y_train"][:, None]
        assert load_npz(save(y_train=y)).n_classes == 3

    def test_constant_feature_becomes_zero(self, save):
        x = arrays()["x_train"]
        x[:, 2] = 5.0
        task = load_npz(save(x_train=x))
        assert not task.train.x[:, 2].any()
        assert not task.test.x[:, 2].any()

    def test_integer_features(self, save):
        x = np.arange(160, dtype=np.int16).reshape(40, 4)
        task = load_npz(save(x_train=x, x_test=x[:12]))
        assert task.train.x.dtype == np.float32


class TestRegression:
    def test_targets_are_rescaled_and_map_back(self, save):
        y = np.linspace(-20.5, 77, 40)
        task = load_npz(save(y_train=y, y_test=np.linspace(-99.5, 99, 12)))
        assert task.kind == "regression"
        assert (task.train.y.min(), task.train.y.max()) == (0, 1)
        assert task.test.y.min() < 0  # never clipped
        assert task.target_scaler.inverse(task.test.y) == pytest.approx(np.linspace(-99.5, 99, 12), abs=1e-4)

    def test_whole_numbers_when_told_so(self, save):
        assert load_npz(save(), target="regression").kind == "regression"


class TestImages:
    @pytest.mark.parametrize(("shape", "image_shape"), [((5, 6), (1, 5, 6)), ((3, 5, 6), (3, 5, 6))])
    def test_flattened_with_one_range_in_all(self, save, shape, image_shape):
        rng = np.random.default_rng(1)
        x = rng.integers(0, 200, size=(40, *shape)).astype(np.uint8)
        x[:, ..., 0] //= 2
        task = load_npz(save(x_train=x, x_test=x[:12]), val_fraction=0.1)
        assert task.image_shape == image_shape
        assert task.train.x.shape == (36, np.prod(shape))
        assert np.allclose(task.test.x, (x[:12].reshape(12, -1) / 199.0).clip(0, 1), atol=1e-6)

    def test_black_and_white_images_need_the_kind(self, save):
        x = np.random.default_rng(1).integers(0, 2, size=(40, 5, 6))
        path = save(x_train=x, x_test=x[:12])
        assert load_npz(path).spiking
        assert load_npz(path, kind="images").image_shape == (1, 5, 6)
        path = save(x_train=x, x_test=x[:12], kind=np.array("images"))
        assert not load_npz(path).spiking


class TestSpikes:
    @pytest.mark.parametrize("dtype", [bool, np.uint8, np.float32, np.int64])
    def test_go_in_unchanged(self, save, dtype):
        x = np.random.default_rng(1).integers(0, 2, size=(40, 7, 5)).astype(dtype)
        task = load_npz(save(x_train=x, x_test=x[:12]))
        assert task.spiking
        assert (task.n_steps, task.n_features, task.scaler) == (7, 5, None)
        assert task.train.x.dtype == np.uint8
        assert np.array_equal(task.test.x, x[:12])

    @pytest.mark.parametrize(("shape", "image"), [((7, 2, 3, 4), (2, 3, 4)), ((7, 3, 4), (1, 3, 4))])
    def test_frames_of_events_are_flattened(self, save, shape, image):
        x = np.random.default_rng(1).integers(0, 3, size=(40, *shape))
        task = load_npz(save(x_train=x, x_test=x[:12]), kind="spikes")
        assert (task.n_steps, task.image_shape) == (7, image)
        assert np.array_equal(task.test.x, x[:12].reshape(12, 7, -1))

    def test_counts_need_the_kind(self, save):
        x = np.random.default_rng(1).integers(0, 3, size=(40, 7, 5))
        path = save(x_train=x, x_test=x[:12])
        assert not load_npz(path).spiking
        assert load_npz(path, kind="spikes").train.x.max() == 2


NAN = arrays()["x_test"]
NAN[3, 1] = np.nan
RAGGED = np.empty(40, dtype=object)
X3 = np.linspace(0, 1, 40 * 6).reshape(40, 2, 3)


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"x_test": None}, {}, r"no array x_test; expected x_train.*holds x_train, y_test, y_train"),
        ({"x_train": None, "y_train": None}, {}, "no array x_train and no y_train"),
        ({"x_val": np.zeros((3, 4))}, {}, "has x_val but no y_val"),
        ({"y_val": np.zeros(3)}, {}, "has y_val but no x_val"),
        ({"x_valid": np.zeros((3, 4))}, {}, "unknown array x_valid"),
        ({"y_train": np.zeros(39, int)}, {}, r"y_train has shape \(39,\); expected \[N\] with N = 40"),
        ({"y_train": np.eye(40, 3)}, {}, r"y_train has shape \(40, 3\).*argmax"),
        ({"x_test": np.zeros((12, 5))}, {}, r"x_test has shape \(12, 5\); expected \[N, 4\].*\(40, 4\)"),
        ({"x_test": np.zeros((12, 2, 2))}, {}, r"x_test has shape \(12, 2, 2\); expected features \[N, F\]"),
        ({"x_test": NAN}, {}, r"x_test of shape \(12, 4\) holds 1 NaN.*\(3, 1\)"),
        ({"y_test": np.full(12, np.inf)}, {}, r"y_test of shape \(12,\) holds 12 NaN or infinite"),
        ({"x_train": np.zeros((0, 4)), "y_train": np.zeros(0, int)}, {}, r"x_train has shape \(0, 4\)"),
        ({"x_train": np.zeros(40)}, {}, r"x_train has shape \(40,\); expected features \[N, F\]"),
        ({"x_train": np.full((40, 4), "a")}, {}, r"x_train has type <U1 and shape \(40, 4\)"),
        ({"x_train": np.zeros((40, 4), complex)}, {}, "x_train has type complex128"),
        ({"x_train": RAGGED}, {}, "array x_train holds Python objects"),
        (
            {"y_test": np.full(12, 7)},
            {},
            "y_test of shape .12,. holds the unknown label 7 at index 0.*1, 2, 3",
        ),
        ({"y_test": np.full(12, "b")}, {}, "y_test holds <U1 labels"),
        ({"y_train": np.ones(40, int)}, {}, r"y_train of shape \(40,\) holds one class, 1"),
        ({"y_train": np.ones(40)}, {}, "labels or numbers to predict"),
        ({"y_train": np.full(40, "a")}, {"target": "regression"}, "y_train of shape .40,. has type <U1"),
        ({}, {"kind": "image"}, "data.kind is 'image'; did you mean 'images'"),
        ({}, {"kind": "images"}, r"x_train has shape \(40, 4\); expected images \[N, H, W\]"),
        ({}, {"kind": "spikes"}, r"expected spikes \[N, T, I\]"),
        ({"x_train": X3}, {"kind": "features"}, r"x_train has shape \(40, 2, 3\); expected features"),
        ({"kind": np.array(3)}, {}, "array kind has shape"),
        ({"kind": np.array("spike")}, {}, "did you mean 'spikes'"),
        ({"x_train": -X3, "x_test": X3[:12]}, {"kind": "spikes"}, "x_train has values down to -"),
        (
            {"x_train": np.zeros((40, 1, 1, 1, 1, 1))},
            {},
            r"x_train has shape \(40, 1, 1, 1, 1, 1\); expected",
        ),
        ({}, {"val_fraction": 0.0}, "x_train has 40 examples.*leaves 0 for validation"),
        ({}, {"val_fraction": 2.0}, "data.val_fraction is 2.0"),
        ({}, {"n_train": 0}, "n_train is 0"),
        ({}, {"target": "labels"}, "data.target is 'labels'"),
    ],
)
def test_a_wrong_file_is_told_what_is_wrong(save, changes, options, message):
    with pytest.raises(DataError, match=message):
        load_npz(save(**changes), **options)


class TestNotAnArchive:
    def test_missing(self, tmp_path):
        with pytest.raises(DataError, match="does not exist"):
            load_npz(tmp_path / "none.npz")

    def test_folder(self, tmp_path):
        with pytest.raises(DataError, match="is a folder"):
            load_npz(tmp_path)

    def test_no_path(self):
        with pytest.raises(DataError, match=r"data\.path is None"):
            load_npz(None)

    @pytest.mark.parametrize("content", [b"", b"x,y\n1,2\n", b"\x80\x04K\x01."])
    def test_other_content(self, tmp_path, content):
        (tmp_path / "a.npz").write_bytes(content)
        with pytest.raises(DataError, match=r"not an \.npz archive"):
            load_npz(tmp_path / "a.npz")

    def test_npy(self, tmp_path):
        np.save(tmp_path / "a.npy", np.zeros(3))
        with pytest.raises(DataError, match=r"not an \.npz archive"):
            load_npz(tmp_path / "a.npy")

    def test_cut_short(self, save, tmp_path):
        content = save().read_bytes()
        (tmp_path / "short.npz").write_bytes(content[: len(content) // 2])
        with pytest.raises(DataError, match="cut short"):
            load_npz(tmp_path / "short.npz")

    @pytest.mark.parametrize("writer", [np.savez, np.savez_compressed])
    def test_a_flipped_byte_is_an_error_of_ours_or_harmless(self, tmp_path, writer):
        writer(
            tmp_path / "a.npz",
            **arrays(x_train=np.eye(6), x_test=np.eye(6), y_train=np.arange(6) % 2, y_test=np.arange(6) % 2),
        )
        content, bad = (tmp_path / "a.npz").read_bytes(), 0
        for at in range(0, len(content), 5):
            (tmp_path / "b.npz").write_bytes(content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :])
            try:
                load_npz(tmp_path / "b.npz")
            except DataError:
                bad += 1
        assert bad > len(content) / 20

    def test_a_pickle_is_never_run(self, tmp_path):
        class Bomb:
            def __reduce__(self):
                return (open, (str(tmp_path / "ran"), "w"))

        bomb = np.empty(1, dtype=object)
        bomb[0] = Bomb()
        np.savez(tmp_path / "a.npz", **arrays(x_train=bomb))
        with pytest.raises(DataError, match="Python objects"):
            load_npz(tmp_path / "a.npz")
        assert not (tmp_path / "ran").exists()


def test_a_run_can_restore_the_maps_from_json(save):
    task = load_npz(save())
    scaler = FeatureScaler.from_dict(json.loads(json.dumps(task.scaler.to_dict())))
    labels = LabelMap.from_dict(json.loads(json.dumps(task.labels.to_dict())))
    assert np.array_equal(scaler.transform(arrays()["x_test"]), task.test.x)
    assert np.array_equal(labels.encode(arrays()["y_test"]), task.test.y)
    target = TargetScaler.from_dict(json.loads(json.dumps(TargetScaler(-1.5, 2.25).to_dict())))
    assert target == TargetScaler(-1.5, 2.25)


def test_points_of_a_file(tmp_path):
    x, y = np.arange(12.0).reshape(4, 3), np.array(["a", "b", "a", "b"])
    np.savez(tmp_path / "a.npz", x=x, y=y, other=1)
    for found, expected in zip(load_points(tmp_path / "a.npz"), (x, y), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_test_points_of_a_task_and_a_column(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", x_test=np.zeros((3, 2, 2)), y_test=np.ones((3, 1)), x_train=0)
    x, y = load_points(tmp_path / "a.npz")
    assert x.shape == (3, 2, 2)
    assert y.tolist() == [1, 1, 1]


POINTS, TARGETS = np.zeros((3, 2)), np.zeros(3)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": POINTS}, "holds x; expected x and y"),
        ({"x": POINTS[0], "y": TARGETS}, r"x has shape \(2,\)"),
        ({"x": POINTS[:0], "y": TARGETS[:0]}, "no empty axis"),
        ({"x": POINTS.astype(str), "y": TARGETS}, "expected real numbers"),
        ({"x": POINTS, "y": TARGETS[:2]}, "N = 3"),
        ({"x": POINTS * np.nan, "y": TARGETS}, "NaN"),
        ({"x": POINTS, "y": TARGETS + np.inf}, "y .*infinite"),
        ({"x": POINTS, "y": np.array([{}, {}, {}])}, "holds Python objects"),
    ],
)
def test_arrays_that_are_none(tmp_path, arrays, words):
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(DataError, match=words):
        load_points(tmp_path / "bad.npz")


def test_files_that_are_none(tmp_path):
    np.save(tmp_path / "one.npy", POINTS)
    np.savez(tmp_path / "cut.npz", x=POINTS, y=TARGETS)
    whole = (tmp_path / "cut.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[:-30])
    (tmp_path / "text.npz").write_text("x,y")
    for name, words in (
        ("one.npy", "not an .npz"),
        ("cut.npz", "cut"),
        ("text.npz", "text"),
        ("no.npz", "does not exist"),
    ):
        with pytest.raises(DataError, match=words):
            load_points(tmp_path / name)


class TestClasses:
    """No class is lost between a file and the training examples."""

    def test_one_that_only_validates_is_refused(self, save):
        y = np.repeat([0, 1, 2], (47, 1, 72))
        x = np.random.default_rng(0).normal(size=(120, 4))
        path = save(x_train=x, y_train=y, x_test=x[:48], y_test=y[:48])
        with pytest.raises(DataError, match=r"96 training examples of mine is of class '1', but others are"):
            load_npz(path)
        assert np.bincount(load_npz(path, val_fraction=0.1).train.y).min() == 1

    def test_one_that_a_smaller_training_set_leaves_out(self, save):
        with pytest.raises(DataError, match=r"none of the 2 training examples of mine is of class"):
            load_npz(save(), n_train=2)

    def test_one_that_tests_alone(self, save):
        with pytest.raises(DataError, match="unknown label 9"):
            load_npz(save(y_test=np.full(12, 9)))

    def test_numbers_to_predict_are_noticed(self, save):
        y = np.random.default_rng(0).permutation(np.arange(40) // 2) * 3
        x = np.zeros((40, 4))
        path = save(x_train=x, y_train=y, x_val=x, y_val=y, x_test=x, y_test=y)
        assert load_npz(path).notes == ()
        y = np.random.default_rng(0).permutation(np.arange(120) // 4)
        x = np.zeros((120, 4))
        path = save(x_train=x, y_train=y, x_val=x, y_val=y, x_test=x, y_test=y)
        (note,) = load_npz(path).notes
        assert note.startswith(
            "the 120 training targets are 30 different whole numbers, taken for 30 classes"
        )
        assert load_npz(path, target="classification").notes == ()
        assert load_npz(path, target="regression").kind == "regression"

    @pytest.mark.parametrize("kind", ["digits", "fold"])
    def test_digits(self, kind):
        settings = {"n_train": 5} | ({"n_folds": 10, "fold": 0} if kind == "fold" else {})
        with pytest.raises(DataError, match="none of the 5 training examples of digits is of class"):
            handwritten_digits(**settings)


def test_a_share_that_loses_a_class_is_refused(save):
    task = load_npz(save())
    with pytest.raises(DataError, match="none of the 1 training examples of mine"):
        take_share(task, 0.0, 0.03)


def test_inputs_out_of_range_are_counted_and_noted(save):
    task = load_npz(save())  # the test points are three times as large
    assert task.out_of_range["test"].share > 0.1
    assert task.out_of_range["val"].share < task.out_of_range["test"].share
    assert any(note.startswith("test part: ") and "clipped" in note for note in task.notes)


def test_boolean_features(save):
    x = arrays()["x_train"] > 0
    assert set(np.unique(load_npz(save(x_train=x, x_test=x[:12])).test.x)) == {0, 1}


@pytest.mark.parametrize("point", [0xD800, 0x110000, 0xFFFFFFFF])
def test_characters_that_do_not_exist(save, point):
    y = np.where(np.arange(40) % 2, "a", "b")
    y.view(np.uint32)[3] = point
    with pytest.raises(DataError, match="array y_train holds characters that do not exist"):
        load_npz(save(y_train=y, y_test=np.array(["a"] * 12)))


def test_labels_as_bytes(tmp_path):
    x = np.random.default_rng(0).random((40, 3))
    words = {"utf-8": ("ä", "ö"), "latin-1": ("ä", "ö")}
    for code, (one, other) in words.items():
        y = np.where(np.arange(40) % 2, one.encode(code), other.encode(code))
        np.savez(tmp_path / f"{code}.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    assert load_npz(tmp_path / "utf-8.npz").classes == ("ä", "ö")
    with pytest.raises(DataError, match="holds bytes that are not UTF-8 text; save the labels as text"):
        load_npz(tmp_path / "latin-1.npz")
