import math

import numpy as np
import pytest

from bisnn_pyro.analysis import bootstrap_interval, paired_bootstrap
from bisnn_pyro.errors import DataError


def test_one_seed_and_two_predictors_is_the_plain_bootstrap_of_the_difference():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 300))
    ours = paired_bootstrap({"a": a[None], "b": b[None]}, "a", seed=5, n_resamples=400)
    plain = bootstrap_interval(a, b, seed=5, n_resamples=400)
    assert list(ours) == ["b"]
    assert ours["b"].mean == pytest.approx(plain.mean)
    assert (ours["b"].low, ours["b"].high) == pytest.approx((plain.low, plain.high))
    assert (ours["b"].n, ours["b"].level) == (300, 0.95)


@pytest.mark.parametrize("root", [False, True])
def test_resampling_by_hand(root, monkeypatch):
    rng = np.random.default_rng(1)
    scores = {"a": rng.random((2, 20)), "b": rng.random((3, 20)), "c": rng.random((1, 20))}
    monkeypatch.setattr("bisnn_pyro.analysis.paired._MAX_INDICES", 140)  # blocks of 7 resamples
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


def test_infinite_scores_have_no_interval():
    scores = {"a": [[1.0, 2.0]], "b": [[1.0, math.inf]], "c": [[0.0, 1.0]]}
    found = paired_bootstrap(scores, "a", n_resamples=10)
    assert found["b"].mean == -math.inf
    assert math.isnan(found["b"].low)
    assert found["c"].low <= 1.0 <= found["c"].high
    without = paired_bootstrap(scores, "b", n_resamples=10)
    assert all(math.isnan(interval.low) for interval in without.values())


def test_wrong_input_is_named():
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
