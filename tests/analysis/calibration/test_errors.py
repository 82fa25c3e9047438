from itertools import pairwise, product

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import norm

from bisnn_pyro.analysis import (
    classwise_calibration_error,
    debiased_calibration_error,
    ece_interval,
    ece_of_calibrated,
    expected_calibration_error,
    reliability_bins,
    smooth_calibration_error,
    smooth_error,
    top_label,
)
from bisnn_pyro.analysis.calibration.errors import FINEST
from bisnn_pyro.errors import DataError
from tests.analysis.strategies import predictions


def by_loops(probs, labels, n_bins):
    """Kull et al. 2019, eq. 2, with bins (lo, hi] and the first closed."""
    edges, total = np.linspace(0, 1, n_bins + 1), 0.0
    for k in range(probs.shape[1]):
        for b in range(n_bins):
            low = -1 if b == 0 else edges[b]
            inside = [i for i, row in enumerate(probs) if low < row[k] <= edges[b + 1]]
            if inside:
                share = np.mean([labels[i] == k for i in inside])
                total += len(inside) / len(labels) * abs(share - np.mean(probs[inside, k]))
    return total / probs.shape[1]


@settings(max_examples=50, deadline=None)
@given(predictions(), st.integers(1, 12))
def test_it_equals_loops(pair, n_bins):
    ours = classwise_calibration_error(*pair, n_bins)
    assert ours == pytest.approx(by_loops(*pair, n_bins), abs=1e-12)
    assert 0 <= ours <= 1


def test_equal_mass_by_hand():
    # Two points a bin.  Class 0: (0.1 + 0.2) / 2 against 1/2, (0.6 + 0.9) / 2 against 1/2; class 1 mirrors.
    probs = np.array([[0.1, 0.9], [0.2, 0.8], [0.6, 0.4], [0.9, 0.1]])
    error = classwise_calibration_error(probs, [0, 1, 1, 0], 2, "mass")
    assert error == pytest.approx((0.35 + 0.25) / 2)


@pytest.mark.parametrize("scheme", ["width", "mass"])
def test_sure_predictions(scheme):
    assert classwise_calibration_error(np.eye(3), [0, 1, 2], scheme=scheme) == 0.0
    # Every class is once sure and wrong, once ruled out and right to be, once ruled out and wrong.
    shifted = classwise_calibration_error(np.eye(3), [1, 2, 0], 10, "width")
    assert shifted == pytest.approx(1 / 3 * 1 + 2 / 3 * 0.5)


def test_a_single_class():
    probs = np.tile([0.7, 0.3], (5, 1))
    assert classwise_calibration_error(probs, [0] * 5) == pytest.approx(0.3)
    assert expected_calibration_error(probs, [0] * 5) == pytest.approx(0.3)


def test_wrong_input_is_named():
    with pytest.raises(DataError, match="'width' or 'mass'"):
        classwise_calibration_error([[0.5, 0.5]], [0], scheme="size")


def by_loops_debiased(confidence, hits, bins):
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
def test_it_equals_loops_of_debiased(pair, n_bins):
    probs, labels = pair
    edges = np.linspace(0, 1, n_bins + 1)
    top = by_loops_debiased(probs.max(-1), probs.argmax(-1) == labels, edges)
    marginal = np.mean([by_loops_debiased(probs[:, k], labels == k, edges) for k in range(probs.shape[1])])
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


def test_wrong_input_is_named_of_debiased():
    with pytest.raises(DataError, match="form is 'all'"):
        debiased_calibration_error([[0.5, 0.5]], [0], form="all")


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


def test_sure_predictions_of_smooth():
    assert smooth_calibration_error(np.eye(3), [0, 1, 2]) == 0.0
    assert smooth_calibration_error(np.eye(3), [1, 2, 0]) == pytest.approx(1.0)
    assert smooth_error([0.5, 0.5], [0, 1]) == pytest.approx(0.0, abs=1e-12)


def test_below_the_finest_bandwidth_it_is_the_error_there():
    assert smooth_error([1 - 1e-4] * 3, [1, 1, 1]) == pytest.approx(1e-4, abs=1e-9)


def test_it_does_not_jump_where_an_edge_of_bins_would_be():
    correct = np.arange(100) < 60
    below, above = (smooth_error([0.8 + step] * 100, correct) for step in (-1e-9, 1e-9))
    assert below == pytest.approx(above, abs=1e-8)


def test_wrong_input_is_named_of_smooth():
    with pytest.raises(DataError, match="must agree"):
        smooth_error([0.5, 0.5], [1])


def two_classes(confidence, correct):
    """Probabilities and labels of a predictor of class 0 with these confidences."""
    return np.stack([confidence, 1 - confidence], axis=1), np.where(correct, 0, 1)


@pytest.mark.parametrize(("p", "n"), [(0.6, 20), (0.9, 50)])
def test_one_confidence_has_the_binomial_mean_deviation(p, n):
    baseline = ece_of_calibrated(np.tile([p, 1 - p], (n, 1)), n_resamples=4000)
    k = np.arange(n + 1)
    weights, deviation = scipy.stats.binom.pmf(k, n, p), np.abs(k / n - p)
    mean = (weights * deviation).sum()
    error = np.sqrt((weights * deviation**2).sum() - mean**2) / np.sqrt(4000)
    assert baseline.mean == pytest.approx(mean, abs=4 * error)  # false alarms 6e-5
    assert baseline.low <= baseline.mean <= baseline.high
    assert (baseline.n, baseline.level) == (n, 0.95)


@pytest.mark.parametrize("scheme", ["width", "mass"])
def test_it_is_the_mean_error_of_calibrated_labels(scheme):
    rng = np.random.default_rng(2)
    confidence = rng.uniform(0.5, 1, 200)
    probs = two_classes(confidence, confidence > 0)[0]
    drawn = [
        expected_calibration_error(*two_classes(confidence, rng.random(200) < confidence), 15, scheme)
        for _ in range(400)
    ]
    baseline = ece_of_calibrated(probs, 15, scheme)
    error = np.std(drawn) * np.sqrt(1 / 400 + 1 / 1000)
    assert baseline.mean == pytest.approx(np.mean(drawn), abs=4 * error)
    assert baseline.high == pytest.approx(np.quantile(drawn, 0.975), abs=0.01)


def test_four_times_the_points_halve_it():
    rng = np.random.default_rng(0)
    small, large = (
        ece_of_calibrated(two_classes(rng.uniform(0.5, 1, n), True)[0], n_bins=5).mean for n in (400, 1600)
    )
    assert large == pytest.approx(small / 2, rel=0.1)


def test_sure_predictions_leave_nothing_to_chance():
    baseline = ece_of_calibrated(np.eye(3))
    assert (baseline.mean, baseline.low, baseline.high) == (0.0, 0.0, 0.0)


def test_the_interval_by_hand(monkeypatch):
    rng = np.random.default_rng(1)
    confidence = rng.uniform(0.5, 1, 40)
    probs, labels = two_classes(confidence, rng.random(40) < confidence - 0.3)
    monkeypatch.setattr("bisnn_pyro.analysis.intervals._MAX_DRAWN", 280)  # blocks of 7 resamples
    found = ece_interval(probs, labels, 5, level=0.8, n_resamples=30, seed=3)
    source = np.random.default_rng(3)
    drawn = np.concatenate([source.integers(40, size=(min(7, 30 - k), 40)) for k in range(0, 30, 7)])
    errors = [expected_calibration_error(probs[points], labels[points], 5) for points in drawn]
    ece, top = expected_calibration_error(probs, labels, 5), np.quantile(errors, 0.9)
    assert found.mean == pytest.approx(ece)
    assert (found.low, found.high) == pytest.approx((2 * ece - top, top))
    assert found.n == 40


@pytest.mark.parametrize("shift", [0.0, 0.1])
def test_it_covers_at_least_about_as_often_as_it_says(shift):
    # Confidence is too high by `shift` everywhere, and so is the binned error of the population.  80 data
    # sets at a true coverage of 0.95 or more have an sd of at most 0.024; 0.86 is 3.5 of them below.
    rng = np.random.default_rng(0)
    hits = 0
    for k in range(80):
        confidence = rng.uniform(0.5, 1, 300)
        pair = two_classes(confidence, rng.random(300) < confidence - shift)
        interval = ece_interval(*pair, 10, n_resamples=200, seed=k)
        hits += interval.low <= shift <= interval.high
    assert hits / 80 >= 0.86


@pytest.mark.parametrize("labels", [[0, 1, 2], [1, 2, 0]])
def test_sure_predictions_have_a_point(labels):
    interval = ece_interval(np.eye(3), labels, n_resamples=10)
    assert interval.low == interval.mean == interval.high == float(labels != [0, 1, 2])


def test_wrong_input_is_named_of_ece_sampling():
    with pytest.raises(DataError, match="level"):
        ece_of_calibrated([[0.5, 0.5]], level=0)
    with pytest.raises(DataError, match="n_resamples"):
        ece_interval([[0.5, 0.5]], [0], n_resamples=0)
