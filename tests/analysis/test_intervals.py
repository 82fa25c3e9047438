import math

import numpy as np
import pytest
import scipy.stats

from bisnn_pyro.analysis import (
    calibrated_outcomes,
    format_interval,
    mean_interval,
    paired_bootstrap,
    paired_difference,
)
from bisnn_pyro.analysis.intervals import blocks, resample_counts
from bisnn_pyro.errors import DataError


@pytest.mark.parametrize("level", [0.8, 0.95])
@pytest.mark.parametrize("n", [2, 5, 30])
def test_mean_interval_equals_scipy(n, level):
    values = np.random.default_rng(n).normal(size=n)
    theirs = scipy.stats.ttest_1samp(values, 0).confidence_interval(level)
    ours = mean_interval(values, level)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high))
    assert ours.mean == pytest.approx(values.mean())
    assert ours.half_width == pytest.approx((theirs.high - theirs.low) / 2)
    assert (ours.n, ours.level) == (n, level)


def test_one_seed_has_no_interval():
    one = mean_interval([0.5])
    assert (one.mean, one.n) == (0.5, 1)
    assert math.isnan(one.half_width)
    assert math.isnan(one.low)


@pytest.mark.parametrize(("values", "mean"), [([1.0, math.inf], math.inf), ([math.inf, -math.inf], math.nan)])
def test_infinite_scores_have_no_interval(values, mean):
    result = mean_interval(values)
    assert result.mean == pytest.approx(mean, nan_ok=True)
    assert math.isnan(result.half_width)


def test_paired_difference_equals_scipy():
    rng = np.random.default_rng(3)
    a = rng.normal(size=5)
    b = a + 0.1 * rng.normal(size=5)
    theirs = scipy.stats.ttest_rel(a, b).confidence_interval(0.95)
    ours = paired_difference(a, b)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high))
    # Pairing matters: unpaired, the interval would be wider than the spread between seeds.
    assert ours.half_width < mean_interval(a).half_width


def test_t_interval_covers_as_often_as_it_says():
    # 2000 sets of n = 5 normal values, seed 0: the sd of the share is 0.0049, the tolerance is 4 sd
    # (false alarms 6e-5).
    draws = np.random.default_rng(0).normal(size=(2000, 5))
    found = [mean_interval(row) for row in draws]
    assert np.mean([i.low <= 0 <= i.high for i in found]) == pytest.approx(0.95, abs=0.02)


def bootstrap(a, b, **settings):
    return paired_bootstrap({"a": np.asarray(a)[None], "b": np.asarray(b)[None]}, "a", **settings)["b"]


def test_bootstrap_is_near_the_normal_interval_and_repeats():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=2000), rng.normal(0.2, 1, size=2000)
    boot, normal = bootstrap(a, b, seed=1), paired_difference(a, b)
    assert boot.mean == pytest.approx(normal.mean)
    # Ends of 2000 resamples: sd about 0.04 of the half-width; 4 sd (false alarms 6e-5 an end).
    assert (boot.low, boot.high) == pytest.approx((normal.low, normal.high), abs=0.16 * normal.half_width)
    assert boot == bootstrap(a, b, seed=1)
    assert boot != bootstrap(a, b, seed=2)
    assert (boot.n, boot.half_width) == (2000, pytest.approx((boot.high - boot.low) / 2))


def test_bootstrap_blocks_of_indices_count_all_resamples(monkeypatch):
    seen = []
    quantile = np.quantile
    monkeypatch.setattr("bisnn_pyro.analysis.intervals._MAX_DRAWN", 35)
    monkeypatch.setattr(np, "quantile", lambda v, q, **axis: seen.append(len(v)) or quantile(v, q, **axis))
    bootstrap(np.arange(10.0), np.zeros(10), n_resamples=100)
    assert seen == [100]


def test_format():
    assert format_interval(0.9821, 0.0034, 5) == "0.982 ± 0.003 (n=5)"
    assert format_interval(0.9821, 0.0034) == "0.982 ± 0.003"
    assert format_interval(0.9821, math.nan, 1, digits=2) == "0.98 (n=1)"
    assert str(mean_interval([0.5])) == "0.500 (n=1)"


def test_wrong_input_is_named():
    with pytest.raises(DataError, match="equal lengths"):
        paired_difference([1.0], [1.0, 2.0])
    with pytest.raises(DataError, match="NaN"):
        mean_interval([1.0, math.nan])
    with pytest.raises(DataError, match="level"):
        mean_interval([1.0, 2.0], 95)


@pytest.mark.parametrize("root", [False, True])
def test_resampling_by_hand(root, monkeypatch):
    rng = np.random.default_rng(1)
    scores = {"a": rng.random((2, 20)), "b": rng.random((3, 20)), "c": rng.random((1, 20))}
    monkeypatch.setattr("bisnn_pyro.analysis.intervals._MAX_DRAWN", 140)  # blocks of 7 resamples
    found = paired_bootstrap(scores, "b", root=root, level=0.8, n_resamples=50, seed=3)
    source = np.random.default_rng(3)
    drawn = np.concatenate([source.integers(20, size=(min(7, 50 - k), 20)) for k in range(0, 50, 7)])

    def total(values, points):
        means = [row[points].mean() for row in values]
        return np.mean(np.sqrt(means) if root else means)

    for name in ("a", "c"):
        parts = [total(scores["b"], p) - total(scores[name], p) for p in drawn]
        low, high = np.quantile(parts, [0.1, 0.9])
        interval = found[name]
        assert (interval.low, interval.high) == pytest.approx((low, high))
        assert interval.half_width == pytest.approx((high - low) / 2)
        everything = np.arange(20)
        assert interval.mean == pytest.approx(
            total(scores["b"], everything) - total(scores[name], everything)
        )


def test_it_covers_as_often_as_it_says():
    # 400 data sets of 60 points with a true difference of 0.3, seed 0: the share of intervals that hold it
    # has an sd of 0.011, and the percentile bootstrap of 60 normal points covers about 0.94; 0.05 is over
    # 3.5 sd (false alarms 5e-4).
    rng = np.random.default_rng(0)
    hits = 0
    for k in range(400):
        common = rng.normal(size=60)
        pair = {"a": (common + rng.normal(0.3, 1, 60))[None], "b": common[None]}
        interval = paired_bootstrap(pair, "a", n_resamples=300, seed=k)["b"]
        hits += interval.low <= 0.3 <= interval.high
    assert hits / 400 == pytest.approx(0.95, abs=0.05)


def test_pairing_cancels_what_the_predictors_share():
    rng = np.random.default_rng(2)
    hard = 10 * rng.random(500)
    pair = {"a": (hard + 0.1 + 0.01 * rng.normal(size=500))[None], "b": hard[None]}
    interval = paired_bootstrap(pair, "a")["b"]
    assert interval.mean == pytest.approx(0.1, abs=0.01)
    assert interval.half_width < 0.01


def test_infinite_scores_have_no_interval_of_paired():
    scores = {"a": [[1.0, 2.0]], "b": [[1.0, math.inf]], "c": [[0.0, 1.0]]}
    found = paired_bootstrap(scores, "a", n_resamples=10)
    assert found["b"].mean == -math.inf
    assert math.isnan(found["b"].low)
    assert found["c"].low <= 1.0 <= found["c"].high
    without = paired_bootstrap(scores, "b", n_resamples=10)
    assert all(math.isnan(interval.low) for interval in without.values())


def test_wrong_input_is_named_of_paired():
    one = {"a": [[1.0, 2.0]]}
    with pytest.raises(DataError, match="b has 3 points but a has 2"):
        paired_bootstrap({**one, "b": [[1.0, 2.0, 3.0]]}, "a")
    with pytest.raises(DataError, match="reference is 'z'"):
        paired_bootstrap(one, "z")
    with pytest.raises(DataError, match="NaN"):
        paired_bootstrap({"a": [[1.0, math.nan]]}, "a")
    with pytest.raises(DataError, match="n_resamples"):
        paired_bootstrap(one, "a", n_resamples=0)
    with pytest.raises(DataError, match="level"):
        paired_bootstrap(one, "a", level=95)


def test_counts_are_those_of_the_points_drawn():
    groups = np.array([2, 0, 1, 0])
    counts = resample_counts(groups, 3, 5, np.random.default_rng(7))
    drawn = np.random.default_rng(7).integers(4, size=(5, 4))
    for row, points in zip(counts, drawn, strict=True):
        assert row.tolist() == [sum(groups[i] == g for i in points) for g in range(3)]


def test_outcomes_follow_the_confidences():
    confidence = np.array([0.0, 0.3, 1.0])
    drawn = np.concatenate(list(calibrated_outcomes(confidence, 20_000, seed=1)))
    assert drawn.shape == (20_000, 3)
    assert not drawn[:, 0].any()
    assert drawn[:, 2].all()
    # Standard error 0.0032; 4.5 of them.
    assert drawn[:, 1].mean() == pytest.approx(0.3, abs=0.015)
    again = np.concatenate(list(calibrated_outcomes(confidence, 20_000, seed=1)))
    np.testing.assert_array_equal(again, drawn)


def test_blocks_bound_the_memory(monkeypatch):
    monkeypatch.setattr("bisnn_pyro.analysis.intervals._MAX_DRAWN", 10)
    assert list(blocks(7, 4)) == [2, 2, 2, 1]
    assert list(blocks(2, 100)) == [1, 1]
    assert [len(block) for block in calibrated_outcomes(np.full(5, 0.5), 5)] == [2, 2, 1]


def test_wrong_input_is_named_of_resampling():
    with pytest.raises(DataError, match="n_resamples is 0"):
        next(calibrated_outcomes([0.5], 0))
    with pytest.raises(DataError, match="confidence has values"):
        next(calibrated_outcomes([1.5], 3))
