"""Tasks of some classes of a set: which examples stay, and under which numbers."""

import numpy as np
import pytest

from bisnn_pyro.data import load_task
from bisnn_pyro.errors import DataError

from .idx_files import write_set

KEPT = [7, 2, 3]


@pytest.fixture(params=["digits", "mnist", "fashion-mnist"])
def load(request, tmp_path):
    """A loader of a set, tiny ones of the published."""
    if request.param == "digits":
        return lambda **settings: load_task("digits", **settings)
    arrays = write_set(tmp_path / "set", n_train=200, n_test=50)
    assert set(arrays["t10k-labels-idx1-ubyte"]) == set(range(10))
    return lambda **settings: load_task(request.param, path=tmp_path / "set", n_val=40, **settings)


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
