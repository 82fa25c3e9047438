import numpy as np
import pytest

from bisnn_pyro.data.points import load_points
from bisnn_pyro.errors import DataError


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


X, Y = np.zeros((3, 2)), np.zeros(3)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": X}, "holds x; expected x and y"),
        ({"x": X[0], "y": Y}, r"x has shape \(2,\)"),
        ({"x": X[:0], "y": Y[:0]}, "no axis empty"),
        ({"x": X.astype(str), "y": Y}, "expected numbers"),
        ({"x": X, "y": Y[:2]}, "N = 3"),
        ({"x": X * np.nan, "y": Y}, "NaN"),
        ({"x": X, "y": Y + np.inf}, "y .*infinite"),
        ({"x": X, "y": np.array([{}, {}, {}])}, "cannot be read"),
    ],
)
def test_arrays_that_are_none(tmp_path, arrays, words):
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(DataError, match=words) as error:
        load_points(tmp_path / "bad.npz")
    assert "bad.npz" in str(error.value)


def test_files_that_are_none(tmp_path):
    np.save(tmp_path / "one.npy", X)
    np.savez(tmp_path / "cut.npz", x=X, y=Y)
    whole = (tmp_path / "cut.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[:-30])
    (tmp_path / "text.npz").write_text("x,y")
    for name, words in (
        ("one.npy", "one array"),
        ("cut.npz", "cut"),
        ("text.npz", "text"),
        ("no.npz", "No such"),
    ):
        with pytest.raises(DataError, match=words):
            load_points(tmp_path / name)
