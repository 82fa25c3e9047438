"""Paired differences: against scipy and worked examples, and their false alarms in simulations."""

import math

import numpy as np
import pytest
import scipy.stats

from bisnn_pyro.analysis import Difference, holm, over_folds, over_seeds, over_seeds_and_points, verdicts
from bisnn_pyro.errors import DataError


def test_over_seeds_equals_scipy():
    values = np.random.default_rng(0).normal(0.3, 1.0, 7)
    found, theirs = over_seeds(values), scipy.stats.ttest_1samp(values, 0)
    assert found.p_value == pytest.approx(theirs.pvalue)
    assert found.interval(0.9) == pytest.approx(tuple(theirs.confidence_interval(0.9)))
    assert (found.df, found.n) == (6, 7)
    alone = over_seeds([0.5])
    assert alone.mean == 0.5
    assert math.isnan(alone.p_value)
    assert math.isnan(over_seeds([0.5, math.inf]).error)


def test_equivalence_is_two_one_sided_tests():
    values = np.random.default_rng(1).normal(0.1, 1.0, 50)
    lower = scipy.stats.ttest_1samp(values, -0.5, alternative="greater").pvalue
    upper = scipy.stats.ttest_1samp(values, 0.5, alternative="less").pvalue
    found = over_seeds(values)
    assert found.p_equivalent(0.5) == pytest.approx(max(lower, upper))
    # The same as a 90 % interval within the margin, at 5 %.
    low, high = found.interval(0.9)
    edge = max(abs(low), abs(high))
    assert found.p_equivalent(edge) == pytest.approx(0.05)


def test_folds_by_hand():
    # Nadeau and Bengio: t = mean / sqrt((1/J + n2/n1) s^2), here 10 repeats of 10 folds: 1/100 + 1/9.
    values = np.random.default_rng(2).normal(0.1, 0.2, 100)
    found = over_folds(values, test_share=1 / 9)
    t = values.mean() / math.sqrt((1 / 100 + 1 / 9) * values.var(ddof=1))
    assert found.mean / found.error == pytest.approx(t)
    assert found.p_value == pytest.approx(2 * scipy.stats.t.sf(abs(t), 99))
    with pytest.raises(DataError, match="test_share"):
        over_folds(values, 0.0)


def test_folds_that_share_training_data_raise_no_more_false_alarms_than_stated():
    # Scores of J = 30 runs with the correlation 1/K that the correction assumes, K = 10.  2000 sets, seed 0:
    # the sd of the share of false alarms is .0049; 4 of them.  The plain t has more than half.
    rng, share = np.random.default_rng(0), 1 / 9
    rho = share / (1 + share)
    draws = math.sqrt(rho) * rng.normal(size=(2000, 1)) + math.sqrt(1 - rho) * rng.normal(size=(2000, 30))
    assert np.mean([over_folds(d, share).p_value < 0.05 for d in draws]) == pytest.approx(0.05, abs=0.02)
    assert np.mean([over_seeds(d).p_value < 0.05 for d in draws]) > 0.3


def crossed(rng, k, n, seeds, points, rest):
    return seeds * rng.normal(size=(k, 1)) + points * rng.normal(size=(1, n)) + rest * rng.normal(size=(k, n))


@pytest.mark.parametrize(
    ("seeds", "points", "rest"), [(1, 0, 1), (0.1, 1, 1), (0.05, 1, 0), (0, 1, 1), (0, 0, 1)]
)
def test_false_alarms_over_seeds_and_points(seeds, points, rest):
    # 1500 tables of 5 seeds and 80 points, seed 0: the sd of the share is .0056; 4 of them above the level.
    # Never far below it, either, but where neither factor has an effect.
    rng = np.random.default_rng(0)
    found = [over_seeds_and_points(crossed(rng, 5, 80, seeds, points, rest)) for _ in range(1500)]
    share = np.mean([d.p_value < 0.05 for d in found])
    assert (0.005 if seeds == points == 0 else 0.02) < share < 0.05 + 0.0225


def test_the_variance_is_that_of_a_mean_over_seeds_and_points():
    # 3000 tables, seed 1: the relative sd of the variance of the mean is sqrt(2/3000) = .026; 4 of them,
    # and the floor of the estimate makes it a little larger.
    rng = np.random.default_rng(1)
    found = [over_seeds_and_points(crossed(rng, 6, 40, 0.2, 0.5, 1.0)) for _ in range(3000)]
    truth = 0.04 / 6 + 0.25 / 40 + 1 / 240
    assert np.var([d.mean for d in found]) == pytest.approx(truth, rel=0.11)
    assert np.mean([d.error**2 for d in found]) == pytest.approx(truth, rel=0.11)


def test_with_the_same_points_only_it_is_the_t_over_seeds():
    rng = np.random.default_rng(3)
    effect = rng.normal(size=(5, 1)) + np.zeros((1, 50))  # every point says the same
    found, plain = over_seeds_and_points(effect), over_seeds(effect[:, 0])
    assert (found.error, found.df) == pytest.approx((plain.error, plain.df))


def test_one_seed_or_infinite_scores_have_no_error():
    assert math.isnan(over_seeds_and_points([[0.1, 0.2]]).error)
    assert math.isnan(over_seeds_and_points([[0.1, math.inf], [0.2, 0.3]]).p_value)


def test_equal_methods_are_no_different():
    same = over_seeds_and_points(np.zeros((3, 10)))
    assert same.p_value == 1.0
    assert verdicts({"x": same}) == {"x": "no different"}


def test_holm_is_the_worked_example():
    # Four hypotheses, p = .01, .04, .03, .005 (in many texts): adjusted .03, .06, .06, .02.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == pytest.approx([1.0, 1.0])
    with_gap = holm([0.01, math.nan, 0.03])
    assert with_gap[[0, 2]] == pytest.approx([0.02, 0.03])
    assert math.isnan(with_gap[1])


def test_holm_keeps_the_family_wise_rate():
    # 4000 families of 5 true nulls, seed 0: the rate is 1 - (1 - .01)^5 = .049, its sd .0034; 4 of them.
    p = np.random.default_rng(0).random((4000, 5))
    assert np.mean([holm(row).min() < 0.05 for row in p]) == pytest.approx(1 - 0.99**5, abs=0.014)


def test_verdicts():
    strong, weak, none = (
        Difference(-0.02, 0.004, 20, 5),
        Difference(-0.02, 0.008, 20, 5),
        Difference(0, 5e-4, 9, 5),
    )
    unknown = Difference(0.1, math.nan, 0, 1)
    assert verdicts({"weak": weak}) == {"weak": "ahead"}  # p = .021
    found = verdicts({"a": strong, "b": weak, "c": none, "d": weak, "e": unknown})
    assert list(found.values()) == ["ahead", "undecided", "no different", "undecided", "undecided"]
    assert verdicts({"a": strong}, larger_is_better=True) == {"a": "behind"}
    assert verdicts({"c": none}, margin=1e-4) == {"c": "undecided"}
    with pytest.raises(DataError, match="margin"):
        verdicts({"a": strong}, margin=0.0)
