"""Tasks, scalers, label maps, splits and noise."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as hnp

import bisnn_pyro.data as data
from bisnn_pyro.data import (
    FeatureScaler,
    LabelMap,
    Split,
    TargetScaler,
    Task,
    gaussian_noise,
    handwritten_digits,
)
from bisnn_pyro.data.splitting import choose
from bisnn_pyro.errors import DataError

quick = settings(deadline=None, max_examples=60)
matrices = hnp.arrays(np.float64, (5, 3), elements=st.floats(-1e6, 1e6))


class TestFeatureScaler:
    @given(train=matrices, test=matrices)
    @quick
    def test_is_the_formula_in_the_unit_interval(self, train, test):
        scaler = FeatureScaler.fit(train)
        out = scaler.transform(test)
        for j in range(3):
            low, high = train[:, j].min(), train[:, j].max()
            for i in range(5):
                expected = 0.0
                if high - low > np.finfo(float).tiny:
                    expected = min(max((min(max(test[i, j], low), high) - low) / (high - low), 0.0), 1.0)
                assert out[i, j] == pytest.approx(expected, abs=1e-6)

    def test_global_keeps_the_pixels_comparable(self):
        x = np.array([[[0, 10], [20, 30]]], dtype=np.uint8)
        scaler = FeatureScaler.fit(x, "global")
        assert scaler.transform(x)[0] == pytest.approx([0, 1 / 3, 2 / 3, 1])
        assert scaler.n_features == 4

    def test_rows_beyond_one_chunk(self):
        x = np.random.default_rng(0).random((10001, 2))
        x[0], x[1] = 0, 1
        assert np.allclose(FeatureScaler.fit(x).transform(x), x, atol=1e-7)

    def test_wild_values_do_not_overflow(self):
        scaler = FeatureScaler(np.array([0.0]), np.array([1e-3]))
        assert scaler.transform(np.array([[1e308], [-1e308]])).tolist() == [[1], [0]]

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda s: s.transform(np.zeros((2, 5))), r"x has shape \(2, 5\).*5 features; expected 2"),
            (lambda s: s.transform(np.array([[np.nan, 1]])), "NaN"),
            (lambda s: s.transform(np.zeros(2)), r"x has shape \(2,\)"),
            (lambda s: s.transform(np.array([["a", "b"]])), "expected numbers"),
            (lambda s: FeatureScaler(np.ones(2), np.zeros(2)), "low <= high"),
            (lambda s: FeatureScaler(np.full(1, -1.7e308), np.full(1, 1.7e308)), "float64"),
            (lambda s: FeatureScaler.from_dict({"low": [0]}), "no 'high'"),
            (lambda s: FeatureScaler.fit(np.zeros((2, 2)), "globl"), "did you mean 'global'"),
        ],
    )
    def test_errors(self, call, message):
        with pytest.raises(DataError, match=message):
            call(FeatureScaler(np.zeros(2), np.ones(2)))


class TestTargetScaler:
    @given(y=hnp.arrays(np.float64, 6, elements=st.floats(-1e4, 1e4)))
    @quick
    def test_inverse_is_the_inverse(self, y):
        scaler = TargetScaler.fit(y)
        assert scaler.inverse(scaler.transform(y)) == pytest.approx(
            y, rel=1e-5, abs=1e-5 * scaler.span + 1e-30
        )

    def test_constant_targets(self):
        scaler = TargetScaler.fit(np.full(3, 4.0))
        assert scaler.transform(np.array([5.0])) == [1.0]
        assert scaler.inverse(np.array([1.0])) == [5.0]

    @pytest.mark.parametrize("y", [np.zeros(0), np.array([np.nan])])
    def test_errors(self, y):
        with pytest.raises(DataError, match="y_train"):
            TargetScaler.fit(y)


class TestLabelMap:
    @given(y=st.lists(st.one_of(st.integers(-(2**40), 2**40)), min_size=1, max_size=20))
    @quick
    def test_round_trip_of_integers(self, y):
        labels = LabelMap.fit(np.array(y))
        assert labels.decode(labels.encode(np.array(y))).tolist() == y
        assert list(labels.labels) == sorted(set(y))

    @given(y=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")), min_size=1, max_size=9))
    @quick
    def test_round_trip_of_strings(self, y):
        labels = LabelMap.fit(np.array(y))
        assert labels.decode(labels.encode(np.array(y))).tolist() == y

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda m: m.encode(np.array([1, 2]), "y_test"), "y_test .* unknown label 2 at index 1.*-1, 1"),
            (lambda m: m.encode(np.array([0.5])), "unknown label 0.5"),
            (lambda m: m.encode(np.array(["1"])), "labels; expected"),
            (lambda m: m.encode(np.zeros((2, 2))), r"shape \(2, 2\)"),
            (lambda m: m.encode(np.array([np.nan])), "NaN"),
            (lambda m: m.decode(np.array([2])), r"0\.\.1"),
            (lambda m: m.decode(np.array([-1])), r"0\.\.1"),
            (lambda m: m.decode(np.array([0.0])), "whole"),
            (lambda m: LabelMap.from_dict({}), "no 'labels'"),
            (lambda m: LabelMap((2, 1)), "sorted"),
        ],
    )
    def test_errors(self, call, message):
        with pytest.raises(DataError, match=message):
            call(LabelMap((-1, 1)))


@given(n=st.integers(1, 60), share=st.floats(0, 1), classes=st.integers(1, 5), seed=st.integers(0, 99))
@quick
def test_choose_is_exact_in_total_and_within_one_in_each_class(n, share, classes, seed):
    labels = np.random.default_rng(seed).integers(classes, size=n)
    k = round(share * n)
    chosen = choose(n, k, seed, labels)
    assert chosen.sum() == k
    wanted = np.bincount(labels, minlength=classes) * k / n
    assert (np.abs(np.bincount(labels[chosen], minlength=classes) - wanted) < 1 + 1e-9).all()


def test_choose_is_uniform_over_examples():
    """400 seeds, 10 of 30 each: a count is Bin(400, 1/3); 5.5 sigma, alarm rate 1e-6 for all 30."""
    labels = np.arange(30) % 2
    counts = sum(choose(30, 10, seed, labels).astype(int) for seed in range(400))
    assert np.abs(counts - 400 / 3).max() < 5.5 * np.sqrt(400 * 2 / 9)


def split(n=6, shape=(3,), y=None, value=0.5, dtype=np.float32):
    y = np.arange(n, dtype=np.int64) % 2 if y is None else y
    return Split(np.full((n, *shape), value, dtype=dtype), y)


def task(**changes):
    fields = {"train": split(), "val": split(), "test": split(), "classes": ("a", "b")} | changes
    return Task("t", **({"kind": "classification"} | fields))


class TestTask:
    def test_properties(self):
        assert (task().n_features, task().n_classes, task().n_steps) == (3, 2, None)
        ready = {p: split(shape=(4, 5), value=1, dtype=np.uint8) for p in ("train", "val", "test")}
        spikes = task(spiking=True, **ready)
        assert (spikes.n_features, spikes.n_steps) == (5, 4)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            (
                {"train": split(dtype=np.float64)},
                r"train.x has shape \(6, 3\) and type float64; expected \[N, F\]",
            ),
            ({"val": split(shape=(4, 5))}, r"val.x has shape \(6, 4, 5\)"),
            ({"test": split(shape=(2,))}, r"test.x has shape \(6, 2\); expected N, then \(3,\)"),
            ({"test": split(n=0)}, "no empty axis"),
            ({"test": split(value=np.nan)}, "test.x of shape .* NaN"),
            ({"train": split(value=1.5)}, r"train.x of shape .* scaled features in \[0, 1\]"),
            ({"train": split(y=np.zeros(5, np.int64))}, r"train.y has shape \(5,\).*N = 6"),
            ({"train": split(y=np.zeros(6, np.int32))}, "type int32.*int64"),
            ({"val": split(y=np.full(6, 2))}, r"val.y has values from 2 to 2; expected 0..1"),
            ({"classes": ("a",)}, "expected at least 2"),
            ({"kind": "regression"}, "has no classes"),
            ({"kind": "regression", "classes": ()}, "train.y .* float32"),
            ({"kind": "regresion"}, "did you mean 'regression'"),
            ({"image_shape": (1, 2, 2)}, "image_shape"),
            ({"scaler": FeatureScaler(np.zeros(2), np.ones(2))}, "the scaler has 2 features; expected 3"),
            ({"labels": LabelMap((0, 1))}, "label map"),
            ({"spiking": True}, r"expected \[N, T, I\]"),
        ],
    )
    def test_errors_name_the_array(self, changes, message):
        with pytest.raises(DataError, match=message):
            task(**changes)


class TestNoise:
    def test_statistics_and_seed(self):
        x = np.linspace(0.45, 0.55, 200 * 100, dtype=np.float32).reshape(200, 100)
        noisy = gaussian_noise(x, 0.05, seed=0)
        assert noisy.dtype == np.float32
        assert abs((noisy - x).mean()) < 6 * 0.05 / np.sqrt(20000)
        assert (noisy - x).std() == pytest.approx(0.05, rel=0.04)
        assert abs(np.corrcoef(noisy - x)[np.triu_indices(200, 1)]).max() < 0.6  # 6 standard deviations
        assert np.array_equal(noisy, gaussian_noise(x, 0.05, seed=0))
        assert not np.array_equal(noisy, gaussian_noise(x, 0.05, seed=1))

    def test_noise_of_an_example_is_its_own(self):
        x = np.random.default_rng(0).random((30, 4), dtype=np.float32)
        noisy, order = gaussian_noise(x, 0.1, seed=3), np.random.default_rng(1).permutation(30)
        assert np.array_equal(gaussian_noise(x[order], 0.1, seed=3), noisy[order])
        assert np.array_equal(gaussian_noise(x[3:6], 0.1, seed=3), noisy[3:6])

    def test_clipped_and_zero(self):
        x = np.random.default_rng(0).random((50, 4), dtype=np.float32)
        noisy = gaussian_noise(x, 3.0, seed=2)
        assert (noisy.min(), noisy.max()) == (0, 1)
        same = gaussian_noise(x, 0.0, seed=2)
        assert np.array_equal(same, x)
        assert not np.shares_memory(same, x)

    @pytest.mark.parametrize("std", [-1, np.nan, "a"])
    def test_errors(self, std):
        with pytest.raises(DataError, match="std is"):
            gaussian_noise(np.zeros((1, 1)), std, 0)


def test_exports_are_the_things_and_not_their_modules():
    assert {"two_moons", "Task", "PopulationEncoder"} <= {*data.__all__}
    handwritten_digits()
    for name in data.__all__:
        assert callable(getattr(data, name)) or name.isupper(), name
    with pytest.raises(AttributeError, match="no attribute 'moons'"):
        _ = data.moons


def test_import_is_light():
    code = "import sys, bisnn_pyro.data; sys.exit('torch' in sys.modules or 'sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
