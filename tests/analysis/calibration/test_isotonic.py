import numpy as np
import pytest
from hypothesis import given, settings

from bisnn_pyro.analysis import isotonic_curve, top_label
from bisnn_pyro.errors import DataError
from tests.analysis.strategies import predictions


def max_of_min(confidence, hits):
    """Isotonic regression at the distinct confidences, by its max-min formula (Robertson et al. 1988)."""
    values = sorted(set(confidence))
    groups = [[h for c, h in zip(confidence, hits, strict=True) if c == value] for value in values]

    def mean(j, k):
        pooled = [h for group in groups[j : k + 1] for h in group]
        return sum(pooled) / len(pooled)

    m = len(values)
    return [max(min(mean(j, k) for k in range(i, m)) for j in range(i + 1)) for i in range(m)]


@settings(max_examples=50, deadline=None)
@given(predictions(max_points=15))
def test_it_equals_the_max_min_formula(pair):
    confidence, hits = top_label(*pair)
    curve = isotonic_curve(confidence, hits)
    np.testing.assert_allclose(curve.calibrated, max_of_min(confidence.tolist(), hits.tolist()), atol=1e-12)
    assert (np.diff(curve.confidence) > 0).all()
    assert (np.diff(curve.calibrated) >= -1e-12).all()
    assert curve.count.sum() == len(hits)
    # The curve keeps the share of events.
    assert (curve.calibrated * curve.count).sum() == pytest.approx(hits.sum())


def test_it_equals_scikit_learn(predictor):
    regression = pytest.importorskip("sklearn.isotonic").IsotonicRegression()
    confidence, hits = top_label(*predictor(800, 3))
    confidence = confidence.round(2)
    curve = isotonic_curve(confidence, hits)
    theirs = regression.fit(confidence, hits.astype(float)).predict(curve.confidence)
    np.testing.assert_allclose(curve.calibrated, theirs, atol=1e-9)


def test_ties_are_pooled_in_any_order():
    curve = isotonic_curve([0.6, 0.6, 0.2, 0.6, 1.0], [1, 0, 0, 0, 1])
    np.testing.assert_array_equal(curve.confidence, [0.2, 0.6, 1.0])
    np.testing.assert_allclose(curve.calibrated, [0, 1 / 3, 1])
    np.testing.assert_array_equal(curve.count, [1, 3, 1])
    np.testing.assert_array_equal(curve.events, [0, 1, 1])


@pytest.mark.parametrize("hits", [[1, 1, 1], [0, 0, 0]])
def test_all_right_and_all_wrong(hits):
    np.testing.assert_array_equal(isotonic_curve([0.0, 0.5, 1.0], hits).calibrated, hits)


def test_what_falls_is_pooled_whole():
    np.testing.assert_allclose(isotonic_curve([0.1, 0.2, 0.3], [1, 0, 0]).calibrated, 1 / 3)


def test_wrong_input_is_named():
    with pytest.raises(DataError, match="other than 0 and 1"):
        isotonic_curve([0.5], [0.3])
