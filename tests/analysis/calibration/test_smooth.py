import numpy as np
import pytest
from hypothesis import given, settings
from scipy.optimize import brentq
from scipy.stats import norm

from bisnn_pyro.analysis import smooth_calibration_error, smooth_error, top_label
from bisnn_pyro.analysis.smooth import FINEST
from bisnn_pyro.errors import DataError
from tests.analysis.strategies import predictions


def by_images(confidence, correct, sigma, n_grid=4000, n_images=6):
    """SmECE at a bandwidth: each point with its mirror images at 0 and 1, and again at those."""
    t = (np.arange(n_grid)[:, None] + 0.5) / n_grid
    smoothed = sum(
        norm.pdf(t, sign * confidence + 2 * k, sigma) @ (confidence - correct) / len(correct)
        for k in range(-n_images, n_images + 1)
        for sign in (1, -1)
    )
    return np.abs(smoothed).mean()


@pytest.mark.parametrize("power", [0.3, 1.0, 2.5])
def test_the_bandwidth_is_its_own_error(power):
    rng = np.random.default_rng(3)
    confidence = rng.uniform(0.2, 1, 40)
    correct = rng.random(40) < confidence**power
    ours = smooth_error(confidence, correct)
    found = brentq(lambda sigma: by_images(confidence, correct, sigma, 2000, 2) - sigma, 0.01, 0.5)
    assert ours == pytest.approx(found, abs=1e-6)


@settings(max_examples=25, deadline=None)
@given(predictions(max_points=10))
def test_random_predictions(pair):
    confidence, correct = top_label(*pair)
    ours = smooth_calibration_error(*pair)
    assert 0 <= ours <= 1
    if ours > FINEST:  # the error never rises with the bandwidth, so its value at ours bounds the distance
        assert by_images(confidence, correct, ours) == pytest.approx(ours, abs=1e-6)
    order = np.random.default_rng(0).permutation(len(correct))
    assert smooth_error(confidence[order], correct[order]) == pytest.approx(ours, abs=1e-9)


@pytest.mark.parametrize(("confidence", "right"), [(0.5, 8), (0.9, 3), (1.0, 5), (0.0, 2), (1.0, 0)])
def test_one_confidence_has_the_plain_gap(confidence, right):
    # A residual of one sign keeps its integral however it is smoothed.
    correct = np.arange(10) < right
    assert smooth_error([confidence] * 10, correct) == pytest.approx(abs(confidence - right / 10), abs=1e-9)


def test_sure_predictions():
    assert smooth_calibration_error(np.eye(3), [0, 1, 2]) == 0.0
    assert smooth_calibration_error(np.eye(3), [1, 2, 0]) == pytest.approx(1.0)
    assert smooth_error([0.5, 0.5], [0, 1]) == pytest.approx(0.0, abs=1e-12)


def test_below_the_finest_bandwidth_it_is_the_error_there():
    assert smooth_error([1 - 1e-4] * 3, [1, 1, 1]) == pytest.approx(1e-4, abs=1e-9)


def test_it_does_not_jump_where_an_edge_of_bins_would_be():
    correct = np.arange(100) < 60
    below, above = (smooth_error([0.8 + step] * 100, correct) for step in (-1e-9, 1e-9))
    assert below == pytest.approx(above, abs=1e-8)


def test_wrong_input_is_named():
    with pytest.raises(DataError, match="must agree"):
        smooth_error([0.5, 0.5], [1])
