from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bisnn_pyro.analysis import accuracy, risk_coverage, selective_accuracy
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
