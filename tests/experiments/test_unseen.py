"""Classes that a network never saw, as inputs from outside."""

import numpy as np
import pytest

from bisnn_pyro.data import load_task
from bisnn_pyro.errors import InputError
from bisnn_pyro.experiments.outside import outside_study
from bisnn_pyro.experiments.outside_inputs import outside
from bisnn_pyro.experiments.reopen import reopen

from ..data.idx_files import write_set
from .study_runs import digits_run

AGAINST = "unseen-classes"


@pytest.fixture(scope="module")
def fours_and_sevens(tmp_path_factory):
    return digits_run(tmp_path_factory.mktemp("unseen"), ["data.classes=[4,7]"])


def test_they_are_the_test_points_left_out(fours_and_sevens):
    fitted, task = reopen(fours_and_sevens)
    whole = load_task("digits")
    assert task.classes == ("4", "7")
    points = outside(AGAINST, fitted.config).points(task)
    np.testing.assert_array_equal(points, whole.test.x[~np.isin(whole.test.y, [4, 7])])


def test_a_study_of_them(fours_and_sevens, tmp_path):
    study = outside_study([fours_and_sevens], AGAINST, out=tmp_path, n_resamples=5)
    whole = load_task("digits")
    inside = int(np.isin(whole.test.y, [4, 7]).sum())
    expected = f"{inside} test points inside, {len(whole.test) - inside} outside: {AGAINST}"
    assert expected in study.table.plain()
    assert (tmp_path / f"outside-{AGAINST}.csv").is_file()


def test_data_that_have_moved(tmp_path):
    write_set(tmp_path / "then", n_train=100, n_test=40)
    changes = ["data.name=mnist", "data.n_val=20", "data.classes=[0,1]", f"data.path={tmp_path / 'then'}"]
    path = digits_run(tmp_path, ["encoder.n_steps=2", *changes])
    (tmp_path / "then").rename(tmp_path / "now")
    study = outside_study([path], AGAINST, n_resamples=5, data_dir=tmp_path / "now")
    assert "8 test points inside, 32 outside" in study.table.plain()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([], r"knows all classes of digits; leave some out, as in .*data\.classes"),
        (["data.classes=[0,1,2,3,4,5,6,7,8,9]"], "leaves no class out"),
    ],
)
def test_a_run_that_knows_all_classes(tmp_path, changes, message):
    path = digits_run(tmp_path, changes)
    with pytest.raises(InputError, match=message):
        outside_study([path], AGAINST)
    with pytest.raises(InputError, match="takes no path"):
        outside_study([path], f"{AGAINST}:{tmp_path}")


def test_the_runs_own_data_are_no_outside(fours_and_sevens):
    with pytest.raises(InputError, match="is what the runs were tested on; unseen-classes stands for"):
        outside_study([fours_and_sevens], "digits")
