import math

import numpy as np
import pytest
import scipy.stats

from bisnn_pyro.analysis import bootstrap_interval, format_interval, mean_interval, paired_difference
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


def test_bootstrap_is_near_the_normal_interval_and_repeats():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=2000), rng.normal(0.2, 1, size=2000)
    boot, normal = bootstrap_interval(a, b, seed=1), paired_difference(a, b)
    assert boot.mean == pytest.approx(normal.mean)
    # Ends of 2000 resamples: sd about 0.04 of the half-width; 4 sd (false alarms 6e-5 an end).
    assert (boot.low, boot.high) == pytest.approx((normal.low, normal.high), abs=0.16 * normal.half_width)
    assert boot == bootstrap_interval(a, b, seed=1)
    assert boot != bootstrap_interval(a, b, seed=2)
    assert (boot.n, boot.half_width) == (2000, pytest.approx((boot.high - boot.low) / 2))


def test_bootstrap_blocks_of_indices_count_all_resamples(monkeypatch):
    seen = []
    quantile = np.quantile
    monkeypatch.setattr("bisnn_pyro.analysis.intervals._MAX_INDICES", 35)
    monkeypatch.setattr(np, "quantile", lambda v, q: seen.append(len(v)) or quantile(v, q))
    bootstrap_interval(np.arange(10.0), np.zeros(10), n_resamples=100)
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
    with pytest.raises(DataError, match="n_resamples"):
        bootstrap_interval([1.0], [1.0], n_resamples=0)
