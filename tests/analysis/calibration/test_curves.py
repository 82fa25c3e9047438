import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings

from bisnn_pyro.analysis import (
    bin_confidences,
    bin_consistency,
    calibrated_outcomes,
    isotonic_consistency,
    isotonic_curve,
    top_label,
)
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


@pytest.mark.parametrize("p", [0.5, 0.9])
def test_one_confidence_has_binomial_bars(p):
    band = bin_consistency([p] * 40, n_bins=1, n_resamples=4000, level=0.9)
    share = scipy.stats.binom(40, p)
    assert band.confidence == pytest.approx(p)
    assert band.lower[0] == pytest.approx(share.ppf(0.05) / 40, abs=1 / 40 + 1e-9)
    assert band.upper[0] == pytest.approx(share.ppf(0.95) / 40, abs=1 / 40 + 1e-9)


@pytest.mark.parametrize("scheme", ["width", "mass"])
def test_bars_equal_diagrams_of_drawn_outcomes(predictor, scheme):
    confidence = np.sort(predictor(60, 3)[0].max(-1))
    band = bin_consistency(confidence, 6, scheme, n_resamples=50, seed=4)
    drawn = np.concatenate(list(calibrated_outcomes(confidence, 50, seed=4)))
    shares = np.array([bin_confidences(confidence, hits, 6, scheme).accuracy for hits in drawn])
    bins = bin_confidences(confidence, drawn[0], 6, scheme)
    np.testing.assert_allclose(band.confidence, bins.confidence)
    np.testing.assert_allclose(band.lower, np.quantile(shares, 0.025, axis=0))
    np.testing.assert_allclose(band.upper, np.quantile(shares, 0.975, axis=0))
    assert np.isnan(band.lower).tolist() == (bins.count == 0).tolist()


def test_the_isotonic_band_equals_curves_of_drawn_outcomes(predictor):
    confidence = np.sort(predictor(60, 3)[0].max(-1).round(1))
    band = isotonic_consistency(confidence, 0.8, n_resamples=50, seed=4)
    drawn = np.concatenate(list(calibrated_outcomes(confidence, 50, seed=4)))
    curves = np.array([isotonic_curve(confidence, hits).calibrated for hits in drawn])
    np.testing.assert_array_equal(band.confidence, np.unique(confidence))
    np.testing.assert_allclose(band.lower, np.quantile(curves, 0.1, axis=0))
    np.testing.assert_allclose(band.upper, np.quantile(curves, 0.9, axis=0))


def test_the_isotonic_band_is_thinned():
    confidence = np.linspace(0.2, 1, 500)
    band = isotonic_consistency(confidence, n_points=20, n_resamples=20)
    assert len(band.confidence) == 20
    assert band.confidence[[0, -1]].tolist() == [0.2, 1.0]
    one = isotonic_consistency([0.5, 0.5], n_points=20, n_resamples=20)
    assert one.confidence.tolist() == [0.5]


def test_confidences_of_zero_and_one_leave_no_room():
    for band in (bin_consistency([0.0, 1.0], 2), isotonic_consistency([0.0, 1.0])):
        assert band.confidence.tolist() == band.lower.tolist() == band.upper.tolist() == [0.0, 1.0]


def test_calibrated_bins_are_inside_as_often_as_stated():
    # 200 data sets of 5 bins of 60 points: the share inside has an sd of about 0.008 (bins are independent);
    # shares of 60 come in steps, so that central intervals hold a little more than 95 %.
    rng = np.random.default_rng(0)
    inside = []
    for k in range(200):
        confidence = rng.uniform(0.5, 1, 300)
        hits = rng.random(300) < confidence
        band = bin_consistency(confidence, 5, "mass", n_resamples=200, seed=k)
        share = bin_confidences(confidence, hits, 5, "mass").accuracy
        inside += ((band.lower <= share) & (share <= band.upper)).tolist()
    assert 0.92 < np.mean(inside) < 0.985


def test_wrong_input_is_named_of_consistency():
    with pytest.raises(DataError, match="level"):
        bin_consistency([0.5], level=2)
    with pytest.raises(DataError, match="confidence has values"):
        isotonic_consistency([1.5])
    with pytest.raises(DataError, match="n_resamples"):
        isotonic_consistency([0.5], n_resamples=0)
