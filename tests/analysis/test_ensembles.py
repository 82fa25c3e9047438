"""Ensembles of trainings: the jackknife against closed forms, and equivalents against known curves."""

import math

import numpy as np
import pytest

from bisnn_pyro.analysis import ensemble_equivalent, ensemble_mean, seed_sets
from bisnn_pyro.errors import DataError


def scores(effects, sizes, curve=lambda m: 0.0):
    """Scores that are a curve of the size plus the mean of the members' effects."""
    seeds = range(len(effects))
    return {
        s: curve(len(s)) + float(np.mean([effects[i] for i in s])) for m in sizes for s in seed_sets(seeds, m)
    }


def test_all_sets_or_a_fixed_choice():
    assert len(seed_sets(range(6), 3)) == 20
    some = seed_sets(range(20), 5, most=50)
    assert len(set(some)) == 50
    assert some == seed_sets(range(20), 5, most=50)
    assert all(len(set(s)) == 5 for s in some)
    with pytest.raises(DataError, match="1 to 3"):
        seed_sets([0, 1, 2], 4)


@pytest.mark.parametrize("size", [1, 2, 4, 5])
def test_the_error_of_additive_scores_is_that_of_the_mean(size):
    # The mean over all ensembles is then the mean over seeds, whatever their size.
    effects = np.random.default_rng(0).normal(size=6)
    found = ensemble_mean(scores(effects, [size]))
    assert found.mean == pytest.approx(effects.mean())
    assert found.error == pytest.approx(effects.std(ddof=1) / math.sqrt(6))
    assert (found.df, found.n) == (5, 6)


def test_the_ensemble_of_all_seeds_has_no_error():
    assert math.isnan(ensemble_mean({(0, 1, 2): 0.5}).error)
    assert math.isnan(ensemble_mean({(0,): 0.5}).error)


def curve(m):
    return 0.10 - 0.02 * math.log2(m)


@pytest.mark.parametrize("truth", [1.0, 1.7, 2.0, 3.1])
def test_the_equivalent_on_a_curve_that_is_straight_in_the_logarithm(truth):
    effects = 0.01 * np.random.default_rng(1).normal(size=6)
    nets = scores(effects, [1, 2, 4], curve)
    ours = scores(effects, [1], lambda m: curve(truth))  # the same effects of seeds: perfectly paired
    found = ensemble_equivalent(ours, nets)
    assert found.size == pytest.approx(truth, rel=0.01)
    assert found.low <= truth * 1.01
    assert found.high >= truth * 0.99
    assert found.high - max(found.low, 1) < 0.02


def test_pairing_by_seed_narrows_the_interval():
    rng = np.random.default_rng(2)
    effects = 0.01 * rng.normal(size=8)
    nets = scores(effects, [1, 2, 4], curve)
    own = 0.001 * rng.normal(size=8)
    paired = ensemble_equivalent(scores(effects + own, [1], lambda m: curve(2)), nets)
    apart = ensemble_equivalent(scores(effects[::-1] + own, [1], lambda m: curve(2)), nets)
    assert paired.high - paired.low < apart.high - apart.low


def test_beyond_the_curve():
    effects = 0.001 * np.random.default_rng(3).normal(size=5)
    nets = scores(effects, [1, 2, 3], curve)
    better = ensemble_equivalent(scores(effects, [1], lambda m: 0.01), nets)
    assert (better.size, better.low, better.high) == (math.inf, pytest.approx(3.0), math.inf)
    assert str(better) == "more than 3 [3.00, inf]"
    worse = ensemble_equivalent(scores(effects, [1], lambda m: 0.2), nets)
    assert (worse.size, worse.low, worse.high) == (0.0, 0.0, 0.0)
    assert str(worse).startswith("fewer than 1")
    # The ensemble of all seeds has no error: the estimate uses it, the interval does not.
    all_seeds = ensemble_equivalent(
        scores(effects, [1], lambda m: curve(4.5)), scores(effects, [1, 2, 5], curve)
    )
    assert all_seeds.size == pytest.approx(4.5, rel=0.05)
    assert (all_seeds.low, all_seeds.high) == (pytest.approx(2.0, rel=0.01), math.inf)


def test_the_interval_covers_as_often_as_it_says():
    # 400 sets of 6 seeds, seed 0, unpaired effects: sd of the share .011; 4 of them.
    rng, hits = np.random.default_rng(0), 0
    for _ in range(400):
        nets = scores(0.01 * rng.normal(size=6), [1, 2, 4], curve)
        found = ensemble_equivalent(scores(0.01 * rng.normal(size=6), [1], lambda m: curve(2)), nets)
        hits += found.low <= 2 <= found.high
    assert hits / 400 == pytest.approx(0.95, abs=0.044)


def test_a_curve_that_rises_counts_by_its_least():
    nets = {(0,): 0.10, (1,): 0.10, (2,): 0.10, (0, 1): 0.12, (0, 2): 0.12, (1, 2): 0.12, (0, 1, 2): 0.06}
    assert ensemble_equivalent({(s,): 0.11 for s in range(3)}, nets).size == 0.0
    assert 2 < ensemble_equivalent({(s,): 0.08 for s in range(3)}, nets).size < 3


@pytest.mark.parametrize(
    ("ours", "nets", "words"),
    [
        ({(0,): 0.1}, {(0,): 0.1}, "two at least"),
        ({(0,): 0.1}, {(0,): 0.1, (1,): 0.1, (0, 1): 0.1}, "the same seeds"),
        ({(0,): 0.1, (1,): 0.1}, {(0,): math.inf, (1,): 0.1, (0, 1): 0.1}, "infinite"),
    ],
)
def test_what_has_no_equivalent_is_refused(ours, nets, words):
    with pytest.raises(DataError, match=words):
        ensemble_equivalent(ours, nets)
