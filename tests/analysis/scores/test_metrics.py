import math

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from bisnn_pyro.analysis import (
    accuracy,
    brier_score,
    classification_metrics,
    negative_log_likelihood,
    regression_metrics,
)
from bisnn_pyro.errors import DataError
from tests.analysis.strategies import predictions


@pytest.mark.parametrize("n_classes", [2, 5])
def test_scores_equal_scikit_learn(predictor, n_classes):
    probs, labels = predictor(400, n_classes)
    classes = range(n_classes)
    assert accuracy(probs, labels) == sklearn.metrics.accuracy_score(labels, probs.argmax(-1))
    assert negative_log_likelihood(probs, labels) == pytest.approx(
        sklearn.metrics.log_loss(labels, probs, labels=classes), abs=1e-12
    )
    each = sum(sklearn.metrics.brier_score_loss(labels == c, probs[:, c]) for c in classes)
    assert brier_score(probs, labels) == pytest.approx(each, abs=1e-12)


def test_brier_is_twice_the_binary_one(predictor):
    probs, labels = predictor(300, 2)
    assert brier_score(probs, labels) == pytest.approx(
        2 * sklearn.metrics.brier_score_loss(labels, probs[:, 1])
    )


def test_zero_at_the_label_is_infinite():
    assert negative_log_likelihood([[1.0, 0.0], [0.5, 0.5]], [1, 0]) == math.inf
    sure = negative_log_likelihood([[1.0, 0.0]], [0])
    assert sure == 0
    assert math.copysign(1, sure) == 1


def test_float32_probabilities_are_scored_in_float64(predictor):
    probs, labels = predictor(100, 3)
    small = probs.astype(np.float32)
    expected = -np.log(small.astype(np.float64)[np.arange(100), labels]).mean()
    assert negative_log_likelihood(small, labels) == pytest.approx(expected, abs=1e-15)


def test_classification_keys(predictor):
    probs, labels = predictor(200, 3)
    scores = classification_metrics(probs, labels)
    assert set(scores) == {"accuracy", "nll", "brier", "ece", "ece_mass", "mce"}
    assert all(type(value) is float for value in scores.values())
    assert scores["nll"] == negative_log_likelihood(probs, labels)


@settings(max_examples=60, deadline=None)
@given(predictions(), st.integers(0, 2**32 - 1))
def test_bounds_and_order(pair, seed):
    probs, labels = pair
    scores = classification_metrics(probs, labels)
    assert 0 <= scores["accuracy"] <= 1
    assert 0 <= scores["brier"] <= 2
    assert scores["nll"] >= 0
    assert 0 <= scores["ece"] <= scores["mce"] <= 1
    order = np.random.default_rng(seed).permutation(len(labels))
    assert classification_metrics(probs[order], labels[order]) == pytest.approx(scores, abs=1e-12)


@pytest.mark.parametrize(
    ("probs", "labels", "message"),
    [
        ([0.5, 0.5], [0], r"probabilities has shape \(2,\); expected 2 axes"),
        ([[0.5, 0.6]], [0], "miss the sum 1 by up to 0.1"),
        ([[0.5, np.nan]], [0], r"NaN or infinity, first at index \(0, 1\)"),
        ([[-3.0, 4.0]], [0], "logits"),
        ([[1.0]], [0], "at least 2 classes"),
        ([[0.5, 0.5]], [2], "whole numbers from 0 to 1"),
        ([[0.5, 0.5]], [0.5], "whole numbers"),
        ([[0.5, 0.5]], [-1], "whole numbers"),
        ([[0.5, 0.5]], [0, 1], r"labels has shape \(2,\); expected \(1,\)"),
        (np.zeros((0, 2)), [], "must not be empty"),
        ([["a", "b"]], [0], "dtype"),
    ],
)
def test_wrong_input_is_named(probs, labels, message):
    with pytest.raises(DataError, match=message):
        classification_metrics(probs, labels)


def test_regression_of_one_gaussian():
    mean, y, scale = np.array([0.0, 1.0, 2.0]), np.array([0.5, 1.0, 5.0]), 0.5
    scores = regression_metrics(mean[None], scale, y)
    z = (y - mean) / scale
    assert set(scores) == {"rmse", "nll", "coverage90", "width90"}
    assert scores["rmse"] == pytest.approx(np.sqrt(np.mean((y - mean) ** 2)))
    assert scores["nll"] == pytest.approx(np.mean(z**2 / 2 + np.log(scale) + np.log(2 * np.pi) / 2))
    assert scores["coverage90"] == pytest.approx(2 / 3)  # z = 1, 0 and 6 against 1.645
    assert scores["width90"] == pytest.approx(2 * 1.6448536 * scale)


def test_regression_scores_the_mixture_and_the_committee_mean():
    scores = regression_metrics([[-1.0], [1.0]], 0.1, [0.0])
    assert scores["rmse"] == 0
    assert scores["nll"] == pytest.approx(50 + np.log(0.1) + np.log(2 * np.pi) / 2)
    assert regression_metrics([[-1.0], [1.0]], [0.1, 0.1], [0.0]) == pytest.approx(scores)
    # Far out in the tails the density underflows; its logarithm does not.
    assert regression_metrics([[-1.0], [1.0]], 0.1, [1e3])["nll"] == pytest.approx(999**2 * 50, rel=1e-3)


def test_coverage_of_the_true_model():
    # y is drawn from the mixture itself, N = 4000: sd of the share 0.0047, the tolerance is 4 sd
    # (false alarms 6e-5, and none with this seed).
    rng = np.random.default_rng(0)
    means = rng.normal(size=(5, 4000))
    y = means[rng.integers(5, size=4000), np.arange(4000)] + 0.3 * rng.normal(size=4000)
    assert regression_metrics(means, 0.3, y)["coverage90"] == pytest.approx(0.9, abs=0.019)


@pytest.mark.parametrize(
    ("means", "scale", "y", "message"),
    [
        ([[0.0, 0.0]], 1.0, [0.0], r"y has shape \(1,\)"),
        ([0.0], 1.0, [0.0], "mean_draws has shape"),
        ([[0.0, 0.0]], [1.0, 1.0], [0.0, 0.0], r"scale has shape \(2,\)"),
        ([[0.0]], 0.0, [0.0], "above 0"),
        ([[np.inf]], 1.0, [0.0], "infinity"),
    ],
)
def test_wrong_regression_is_named(means, scale, y, message):
    with pytest.raises(DataError, match=message):
        regression_metrics(means, scale, y)
