import math

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from bisnn_pyro.analysis import (
    accuracy,
    brier_score,
    classification_metrics,
    classification_points,
    mixture_cdf,
    mixture_log_density,
    mixture_quantile,
    negative_log_likelihood,
    regression_metrics,
    regression_points,
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


@given(predictions())
def test_their_means_are_the_scores_of_a_classification(pair):
    points = classification_points(*pair)
    scores = classification_metrics(*pair)
    assert set(points) == {"accuracy", "nll", "brier"}
    for name, values in points.items():
        assert values.shape == pair[1].shape
        assert values.mean() == pytest.approx(scores[name])


def test_points_by_hand():
    points = classification_points([[0.25, 0.75], [1.0, 0.0]], [0, 1])
    assert points["accuracy"].tolist() == [0, 0]
    assert points["nll"].tolist() == pytest.approx([np.log(4), np.inf])
    assert points["brier"].tolist() == pytest.approx([2 * 0.75**2, 2.0])


def test_their_means_are_the_scores_of_a_regression():
    rng = np.random.default_rng(0)
    draws, y = rng.normal(size=(7, 40)), rng.normal(size=40)
    points, scores = regression_points(draws, 0.8, y), regression_metrics(draws, 0.8, y)
    assert np.sqrt(points["mse"].mean()) == pytest.approx(scores["rmse"])
    assert points["nll"].mean() == pytest.approx(scores["nll"])
    assert points["coverage90"].mean() == scores["coverage90"]
    one = regression_points(draws[:1], 0.8, y)["nll"]
    assert one == pytest.approx(-norm(draws[0], 0.8).logpdf(y))


def test_wrong_input_is_named_of_pointwise():
    with pytest.raises(DataError, match="y has shape"):
        regression_points(np.zeros((2, 3)), 1.0, np.zeros(4))
    with pytest.raises(DataError, match="probabilities"):
        classification_points([0.5, 0.5], [0])


def random_mixture(seed, s=6, n=9):
    rng = np.random.default_rng(seed)
    return 3 * rng.normal(size=(s, n)), rng.uniform(0.05, 2, size=(s, n))


@pytest.mark.parametrize("q", [0.001, 0.05, 0.5, 0.95])
def test_quantile_equals_brent(q):
    means, scales = random_mixture(0)
    expected = [
        scipy.optimize.brentq(
            lambda y, j=j: scipy.stats.norm.cdf(y, means[:, j], scales[:, j]).mean() - q, -30, 30, xtol=1e-13
        )
        for j in range(means.shape[1])
    ]
    np.testing.assert_allclose(mixture_quantile(q, means, scales), expected, atol=1e-9)


@pytest.mark.parametrize("q", [0.05, 0.5, 0.95])
def test_one_component_is_a_gaussian(q):
    np.testing.assert_allclose(
        mixture_quantile(q, [[1.0, -2.0]], 0.5), scipy.stats.norm.ppf(q, [1.0, -2.0], 0.5), rtol=1e-14
    )


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(1e-4, 1 - 1e-4))
def test_cdf_undoes_quantile(seed, q):
    means, scales = random_mixture(seed)
    y = mixture_quantile(q, means, scales)
    np.testing.assert_allclose(mixture_cdf(y, means, scales), q, atol=1e-12)


def test_density_equals_scipy_and_scale_forms_agree():
    means, _ = random_mixture(1)
    y = np.linspace(-4, 4, means.shape[1])
    scale = np.linspace(0.2, 1.0, len(means))
    expected = np.log(scipy.stats.norm.pdf(y, means, scale[:, None]).mean(0))
    np.testing.assert_allclose(mixture_log_density(y, means, scale), expected)
    np.testing.assert_array_equal(
        mixture_cdf(y, means, scale), mixture_cdf(y, means, np.repeat(scale[:, None], len(y), 1))
    )


def test_a_quantile_between_far_components():
    # The median of two far, narrow components lies anywhere between; the 0.25 quantile in the middle of one.
    assert mixture_quantile(0.25, [[-100.0], [100.0]], 1.0) == pytest.approx(-100, abs=1e-6)


@pytest.mark.parametrize("q", [0.0, 1.0, -1, np.nan])
def test_wrong_q(q):
    with pytest.raises(DataError, match="strictly between"):
        mixture_quantile(q, [[0.0]], 1.0)


def test_wrong_y():
    with pytest.raises(DataError, match=r"y has shape \(3,\)"):
        mixture_cdf([0.0, 0.0, 0.0], [[0.0, 0.0]], 1.0)
