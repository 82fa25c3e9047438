from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bisnn_pyro.analysis import debiased_calibration_error, reliability_bins
from bisnn_pyro.errors import DataError
from tests.analysis.strategies import predictions


def by_loops(confidence, hits, bins):
    """Kumar et al. 2019, section 4: the square, bin by bin; a bin of one point counts nothing."""
    total = 0.0
    for low, high in pairwise(bins):
        inside = [i for i, c in enumerate(confidence) if low < c <= high or (low == 0 == c)]
        n = len(inside)
        if n > 1:
            mean, share = np.mean(confidence[inside]), np.mean(hits[inside])
            total += n / len(hits) * ((mean - share) ** 2 - share * (1 - share) / (n - 1))
    return total


@settings(max_examples=50, deadline=None)
@given(predictions(), st.integers(1, 12))
def test_it_equals_loops(pair, n_bins):
    probs, labels = pair
    edges = np.linspace(0, 1, n_bins + 1)
    top = by_loops(probs.max(-1), probs.argmax(-1) == labels, edges)
    marginal = np.mean([by_loops(probs[:, k], labels == k, edges) for k in range(probs.shape[1])])
    for form, square in (("top-label", top), ("marginal", marginal)):
        ours = debiased_calibration_error(probs, labels, n_bins, "width", form, root=False)
        assert ours == pytest.approx(square, abs=1e-12)
        root = debiased_calibration_error(probs, labels, n_bins, "width", form)
        assert root == pytest.approx(np.sqrt(max(square, 0)), abs=1e-9)


@pytest.mark.parametrize(("stated", "true"), [(0.8, 0.8), (0.9, 0.6), (0.7, 1.0)])
def test_the_square_is_unbiased(stated, true):
    # Every outcome of five points of one confidence, weighted with its probability.
    probs = np.tile([stated, 1 - stated], (5, 1))
    mean = 0.0
    for outcome in product((0, 1), repeat=5):
        weight = true ** (5 - sum(outcome)) * (1 - true) ** sum(outcome)
        mean += weight * debiased_calibration_error(probs, outcome, root=False)
    assert mean == pytest.approx((stated - true) ** 2, abs=1e-12)


def test_it_is_less_than_the_plain_error(predictor):
    probs, labels = predictor(300, 4)
    bins = reliability_bins(probs, labels, 15, "mass")
    plain = np.sqrt((bins.count * bins.gap**2).sum() / 300)
    assert 0 < debiased_calibration_error(probs, labels) < plain


def test_bins_of_one_point_and_a_single_class():
    probs = np.array([[0.9, 0.1], [0.7, 0.3]])
    assert debiased_calibration_error(probs, [0, 0]) == 0.0
    assert debiased_calibration_error(np.tile([0.7, 0.3], (5, 1)), [0] * 5) == pytest.approx(0.3)
    assert debiased_calibration_error(np.eye(2), [1, 0], 1) == pytest.approx(1.0)


def test_a_negative_square_has_the_root_zero():
    probs, labels = np.full((4, 2), 0.5), [0, 1, 0, 1]
    assert debiased_calibration_error(probs, labels, root=False) == pytest.approx(-0.25 / 3)
    assert debiased_calibration_error(probs, labels) == 0.0


def test_wrong_input_is_named():
    with pytest.raises(DataError, match="form is 'all'"):
        debiased_calibration_error([[0.5, 0.5]], [0], form="all")
