import math
from itertools import permutations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from bisnn_pyro.analysis import (
    accuracy,
    conformal_sets,
    conformal_threshold,
    risk_coverage,
    selective_accuracy,
    set_coverage,
)
from bisnn_pyro.errors import DataError
from tests.analysis.strategies import predictions

points = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1)), min_size=1, max_size=6)


def in_order(confidence, loss):
    order = np.argsort(-np.asarray(confidence), kind="stable")
    return np.cumsum(np.asarray(loss)[order]) / np.arange(1, len(loss) + 1)


@settings(max_examples=40, deadline=None)
@given(points)
def test_ties_are_the_mean_over_all_orders(pairs):
    # A stable sort keeps tied points in the order given: all orders given are all orders of ties.
    curves = [in_order(*zip(*order, strict=True)) for order in permutations(pairs)]
    ours = risk_coverage(*zip(*pairs, strict=True))
    np.testing.assert_allclose(ours.risk, np.mean(curves, axis=0), atol=1e-12)
    loss = [pair[1] for pair in pairs]
    best = min(in_order(range(len(loss)), order).mean() for order in permutations(loss))
    assert ours.excess_aurc == pytest.approx(ours.aurc - best, abs=1e-12)


def test_by_hand():
    curve = risk_coverage([0.9, 0.8, 0.7, 0.6], [0, 1, 0, 1])
    np.testing.assert_allclose(curve.coverage, [0.25, 0.5, 0.75, 1.0])
    np.testing.assert_allclose(curve.risk, [0, 1 / 2, 1 / 3, 1 / 2])
    np.testing.assert_allclose(curve.best, [0, 0, 1 / 3, 1 / 2])
    assert curve.aurc == pytest.approx((1 / 2 + 1 / 3 + 1 / 2) / 4)
    assert curve.excess_aurc == pytest.approx(1 / 8)
    np.testing.assert_allclose(curve.rejection, [0.75, 0.5, 0.25, 0.0])
    np.testing.assert_allclose(curve.accuracy, [1, 1 / 2, 2 / 3, 1 / 2])


def test_no_order_and_the_best_order():
    loss = np.array([0, 1, 0, 0, 1])
    np.testing.assert_allclose(risk_coverage(np.ones(5), loss).risk, 0.4)
    assert risk_coverage(-loss, loss).excess_aurc == 0.0
    assert risk_coverage([np.inf, -np.inf, 0, 1, -1], loss).risk[0] == 0.0
    for constant in (0, 1):
        curve = risk_coverage(np.arange(5), np.full(5, constant))
        assert (curve.aurc, curve.excess_aurc) == (constant, 0.0)


@settings(max_examples=30, deadline=None)
@given(predictions(), st.integers(0, 2**32 - 1))
def test_a_classifier(pair, seed):
    probs, labels = pair
    curve = selective_accuracy(probs, labels)
    assert curve.accuracy[-1] == pytest.approx(accuracy(probs, labels))
    order = np.random.default_rng(seed).permutation(len(labels))
    np.testing.assert_allclose(selective_accuracy(probs[order], labels[order]).risk, curve.risk, atol=1e-12)
    other = selective_accuracy(probs, labels, -labels)
    np.testing.assert_allclose(other.risk, risk_coverage(-labels, probs.argmax(-1) != labels).risk)


def test_a_single_class():
    curve = selective_accuracy([[0.9, 0.1], [0.2, 0.8]], [0, 0])
    np.testing.assert_allclose(curve.accuracy, [1.0, 0.5])


def test_wrong_input_is_named():
    with pytest.raises(DataError, match="must agree"):
        risk_coverage([0.5], [0, 1])
    with pytest.raises(DataError, match=r"loss .* NaN or infinity"):
        risk_coverage([0.5], [np.inf])


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9])
def test_each_point_left_out_once_is_covered_rank_times(predictor, level):
    # With distinct scores the point left out is inside when its rank among all is at most that of the
    # threshold: this happens to exactly so many of them.
    probs, labels = predictor(40, 5)
    covered = 0
    for i in range(40):
        rest = np.arange(40) != i
        threshold = conformal_threshold(probs[rest], labels[rest], level)
        covered += conformal_sets(probs[i : i + 1], threshold)[0, labels[i]]
    assert covered == math.ceil(40 * level)


def test_adaptive_sets_cover_exactly_as_often_as_the_rank_says():
    # Mean over 400 calibration sets of 30 points: 28 / 31, with an sd of sqrt(0.903 * 0.097 / 400) = 0.015.
    rng, level = np.random.default_rng(0), 0.9
    covered = []
    for k in range(400):
        probs = rng.dirichlet(np.full(4, 0.5), size=31)
        labels = rng.integers(0, 4, 31)
        threshold = conformal_threshold(probs[:30], labels[:30], level, "aps", seed=k)
        covered.append(conformal_sets(probs[30:], threshold, "aps", seed=k)[0, labels[30]])
    assert np.mean(covered) == pytest.approx(28 / 31, abs=0.055)


@settings(max_examples=40, deadline=None)
@given(predictions(), st.floats(0, 1))
def test_sets_by_the_papers_definitions(pair, threshold):
    probs, _ = pair
    plain = conformal_sets(probs, threshold)
    adaptive = conformal_sets(probs, threshold, "aps", seed=3)
    shares = np.random.default_rng([3, 1]).random(len(probs))
    for row, share, one, other in zip(probs, shares, plain, adaptive, strict=True):
        assert one.tolist() == [1 - p <= threshold for p in row]
        ranked, before, inside = sorted(range(len(row)), key=lambda c: -row[c]), 0.0, set()
        for c in ranked:
            if before + share * row[c] <= threshold:
                inside.add(c)
            before += row[c]
        borderline = {c for c in ranked if abs(sum(row[row > row[c]]) - threshold) < 1e-9}
        assert set(np.flatnonzero(other)) ^ inside <= borderline


def test_the_threshold_by_hand():
    probs = np.array([[p, 1 - p] for p in (0.9, 0.8, 0.7, 0.6)])
    assert conformal_threshold(probs, [0, 0, 0, 0], 0.8) == pytest.approx(0.4)  # rank 4 of 4
    assert conformal_threshold(probs, [0, 0, 0, 0], 0.5) == pytest.approx(0.3)  # rank ceil(2.5) = 3
    assert conformal_threshold(probs, [0, 0, 0, 0], 0.4) == pytest.approx(0.2)  # rank 2, not ceil(2.0...1)


@pytest.mark.parametrize(("level", "least"), [(0.9, 9), (0.95, 19), (0.5, 1), (0.99, 99), (0.85, 6)])
def test_too_few_points_are_refused(level, least):
    probs, labels = np.full((least, 2), 0.5), np.zeros(least, int)
    assert conformal_threshold(probs, labels, level) == 0.5
    if least > 1:
        with pytest.raises(DataError, match=f"{least - 1} calibration points .* needs {least}"):
            conformal_threshold(probs[1:], labels[1:], level)


def test_ties_cover_more():
    # Hard votes: every score is 0 or 1, and a threshold of 1 takes all classes.
    votes = np.eye(2)[[0] * 10]
    assert conformal_threshold(votes, [0] * 8 + [1] * 2, 0.9) == 1.0
    assert conformal_sets(votes, 1.0).all()
    assert conformal_threshold(votes, [0] * 10, 0.9) == 0.0
    assert conformal_sets(votes, 0.0).tolist() == [[True, False]] * 10


def test_coverage_by_hand():
    sets = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [1, 1, 1]])
    found = set_coverage(sets, [0, 2, 1, 1])
    assert (found.coverage, found.mean_size, found.empty, found.single) == (0.5, 1.5, 0.25, 0.25)
    ends = scipy.stats.binomtest(2, 4).proportion_ci(0.95, method="wilson")
    assert (found.low, found.high) == pytest.approx((ends.low, ends.high))
    assert (found.n, found.level) == (4, 0.95)


def test_random_shares_are_seeded_and_differ_between_calibration_and_use(predictor):
    probs, labels = predictor(50, 4)
    one, same, other = (conformal_threshold(probs, labels, 0.8, "aps", seed=s) for s in (0, 0, 1))
    assert one == same != other
    sets = conformal_sets(probs, one, "aps", seed=0)
    np.testing.assert_array_equal(sets, conformal_sets(probs, one, "aps", seed=0))
    # The same shares would put as many of the calibration points inside as the rank says, for every seed.
    inside = set()
    for seed in range(10):
        threshold = conformal_threshold(probs, labels, 0.8, "aps", seed=seed)
        inside.add(conformal_sets(probs, threshold, "aps", seed=seed)[np.arange(50), labels].sum())
    assert len(inside) > 1


def test_wrong_input_is_named_of_conformal():
    with pytest.raises(DataError, match="'lac' or 'aps'"):
        conformal_sets([[0.5, 0.5]], 0.5, "raps")
    with pytest.raises(DataError, match="level"):
        conformal_threshold([[0.5, 0.5]], [0], 1.0)
    with pytest.raises(DataError, match="sets hold values"):
        set_coverage([[2, 0]], [0])
