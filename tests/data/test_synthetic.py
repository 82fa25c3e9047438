"""Two moons, the curve and the digits."""

import math

import numpy as np
import pytest
from scipy.stats import kstest, norm
from sklearn.datasets import load_digits, make_moons

from bisnn_pyro.data import curve, curve_truth, handwritten_digits, two_moons
from bisnn_pyro.errors import DataError

PARTS = ("train", "val", "test")


def same(a, b):
    return all(
        np.array_equal(getattr(a, p).x, getattr(b, p).x) and np.array_equal(getattr(a, p).y, getattr(b, p).y)
        for p in PARTS
    )


class TestTwoMoons:
    def test_sizes_and_scale(self):
        task = two_moons()
        assert [len(getattr(task, p)) for p in PARTS] == [200, 200, 1000]
        assert (task.n_features, task.n_classes, task.n_steps, task.classes) == (2, 2, None, ("0", "1"))
        assert task.train.x.min(0).tolist() == [0, 0]
        assert task.train.x.max(0).tolist() == [1, 1]
        assert np.bincount(task.test.y).tolist() == [500, 500]

    def test_seed(self):
        assert same(two_moons(seed=3), two_moons(seed=3))
        assert not same(two_moons(seed=3), two_moons(seed=4))

    def test_test_points_are_fresh_and_use_the_training_range(self):
        task = two_moons(seed=1)
        inside = (task.test.x > 0) & (task.test.x < 1)
        raw = task.test.x * (task.scaler.high - task.scaler.low) + task.scaler.low
        train = task.train.x * (task.scaler.high - task.scaler.low) + task.scaler.low
        nearest = np.abs(raw[:, None] - train[None]).sum(-1).min(1)
        assert nearest.min() > 1e-6
        assert 0.9 < inside.mean() < 1.0  # some lie beyond the training range and are clipped
        # In original units the distances to the ideal moons are the noise; 5 sigma of a mean of 1000.
        upper = raw[(task.test.y == 0) & inside.all(1)]
        radius = np.hypot(upper[:, 0], upper[:, 1])
        assert abs(radius.mean() - 1) < 0.03
        assert 0.08 < radius.std() < 0.12

    def test_splits_of_one_size_are_different_draws(self):
        task = two_moons(100, 100, 100)
        raw = [getattr(task, p).x for p in PARTS]
        for a, b in ((0, 1), (0, 2), (1, 2)):
            inside = ((raw[a] > 0) & (raw[a] < 1)).all(1)
            assert np.abs(raw[a][inside][:, None] - raw[b][None]).sum(-1).min() > 1e-7

    def test_noise_reaches_the_data(self):
        x, _ = make_moons(200, noise=0.0, random_state=0)
        clean = two_moons(noise=0.0)
        assert np.allclose(clean.scaler.low, x.min(0))
        assert np.allclose(clean.scaler.high, x.max(0))
        assert two_moons(noise=0.3).scaler.high[0] > clean.scaler.high[0]

    def test_scarce(self):
        assert len(two_moons(n_train=50, noise=0.3).train) == 50


class TestCurve:
    def test_training_points_are_the_papers(self):
        task = curve()
        x = task.train.x[:, 0] * 6 - 1
        expected = [a + i / 20 for a in (-1, 1.5, 4) for i in range(20)]
        assert x == pytest.approx(expected, abs=1e-6)
        assert [len(getattr(task, p)) for p in PARTS] == [60, 300, 1000]
        assert (task.kind, task.n_features, task.n_classes) == ("regression", 1, 0)

    def test_targets_span_the_unit_interval_and_map_back(self):
        task = curve(seed=2)
        assert (task.train.y.min(), task.train.y.max()) == (0, 1)
        x = task.test.x[:, 0].astype(float) * 6 - 1
        noise = task.target_scaler.inverse(task.test.y) - curve_truth(x)
        # 1000 draws of N(0, 0.1): Kolmogorov-Smirnov; the seed is fixed, alarm rate 1e-4.
        assert kstest(noise, norm(scale=0.1).cdf).pvalue > 1e-4
        assert task.target_scaler.span == pytest.approx(4.6, abs=0.5)

    def test_truth_by_hand(self):
        for x in (-1.0, 0.0, 1.7, 4.9):
            expected = x - 0.1 * x * x + math.cos(math.pi * x / 2)
            assert curve_truth(np.array(x)) == pytest.approx(expected)

    def test_fresh_points_are_uniform_on_the_segments(self):
        x = curve(n_test=3000).test.x[:, 0].astype(float) * 6 - 1
        offset = np.concatenate([x[(a <= x) & (x < a + 1)] - a + i for i, a in enumerate((-1, 1.5, 4))])
        assert len(offset) == 3000
        assert kstest(offset / 3, "uniform").pvalue > 1e-4

    def test_noise_differs_between_splits_and_seeds(self):
        assert same(curve(seed=1), curve(seed=1))
        a, b = curve(seed=1), curve(seed=2)
        assert np.array_equal(a.train.x, b.train.x)
        assert not np.array_equal(a.train.y, b.train.y)
        assert not np.array_equal(a.val.x[:300], a.test.x[:300])

    def test_grid(self):
        task = curve()
        grid = task.line(600)
        x = grid.axes[0]
        assert grid.x.shape == (600, 1)
        assert grid.shape == (600,)
        assert np.array_equal(grid.x[:, 0], x)
        assert (x.min(), (~grid.gap).sum()) == (0, 300)
        assert x.max() < 1
        at = int(np.argmin(np.abs(6 * x - 1 - 1.0)))
        assert grid.gap[at]
        assert task.target_scaler.inverse(grid.truth[at]) == pytest.approx(0.9, abs=1e-5)
        nearest = np.abs(grid.x - task.train.x.T).argmin(0)
        assert not grid.gap[nearest].any()
        assert len(task.grid(resolution=7).x) == 200

    def test_grids_of_other_tasks(self):
        plane = two_moons().grid(3)
        assert plane.x.tolist() == [[x1, x2] for x2 in (0, 0.5, 1) for x1 in (0, 0.5, 1)]
        assert (plane.shape, plane.truth, plane.gap) == ((3, 3), None, None)
        assert handwritten_digits(n_train=50).grid() is None

    def test_n_train_is_a_maximum(self):
        assert len(curve(n_train=1000).train) == 60
        task = curve(n_train=25)
        assert len(task.train) == 25
        assert task.train.y.max() == 1


class TestDigits:
    def test_split_is_a_partition_of_the_real_images(self):
        task = handwritten_digits()
        assert [len(getattr(task, p)) for p in PARTS] == [958, 240, 599]
        x, y = load_digits(return_X_y=True)
        ours = np.concatenate([np.c_[getattr(task, p).x * 16, getattr(task, p).y] for p in PARTS])
        theirs = np.c_[x, y]
        assert np.array_equal(ours[np.lexsort(ours.T)], theirs[np.lexsort(theirs.T)])
        assert (task.image_shape, task.n_classes) == ((1, 8, 8), 10)

    def test_every_split_has_the_classes_in_proportion(self):
        task = handwritten_digits()
        share = np.bincount(load_digits().target) / 1797
        for part in PARTS:
            y = getattr(task, part).y
            # A share is rounded once or twice (test, then validation), so within two examples.
            assert np.abs(np.bincount(y) - share * len(y)).max() < 2

    def test_n_train_is_a_maximum_and_keeps_the_test_set(self):
        full, small = handwritten_digits(n_train=5000), handwritten_digits(n_train=100)
        assert len(full.train) == 958
        assert len(small.train) == 100
        assert np.array_equal(full.test.x, small.test.x)
        assert np.bincount(small.train.y).min() >= 9
        rows = {r.tobytes() for r in full.train.x}
        assert all(r.tobytes() in rows for r in small.train.x)

    def test_seed(self):
        assert same(handwritten_digits(), handwritten_digits())
        assert not same(handwritten_digits(), handwritten_digits(seed=1))


def test_global_generators_are_left_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    two_moons(20, 20, 20), curve(), handwritten_digits()
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.parametrize(
    ("make", "settings", "message"),
    [
        (two_moons, {"n_train": 1}, "n_train is 1; expected a whole number of at least 2"),
        (two_moons, {"noise": -0.1}, "noise is -0.1; expected a number of at least 0"),
        (two_moons, {"noise": math.inf}, "noise is inf"),
        (two_moons, {"seed": -1}, "seed is -1"),
        (two_moons, {"seed": "a"}, "seed is 'a'"),
        (curve, {"points_per_unit": 0}, "points_per_unit is 0"),
        (curve, {"n_train": 0}, "n_train is 0"),
        (handwritten_digits, {"n_train": 1.5}, "n_train is 1.5"),
    ],
)
def test_wrong_settings_are_named(make, settings, message):
    with pytest.raises(DataError, match=message):
        make(**settings)
