import numpy as np
import pytest
import scipy.stats

from bisnn_pyro.analysis import ece_interval, ece_of_calibrated, expected_calibration_error
from bisnn_pyro.errors import DataError


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
    monkeypatch.setattr("bisnn_pyro.analysis.resampling._MAX_DRAWN", 280)  # blocks of 7 resamples
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


def test_wrong_input_is_named():
    with pytest.raises(DataError, match="level"):
        ece_of_calibrated([[0.5, 0.5]], level=0)
    with pytest.raises(DataError, match="n_resamples"):
        ece_interval([[0.5, 0.5]], [0], n_resamples=0)
