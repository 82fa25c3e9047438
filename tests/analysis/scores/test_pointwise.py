import numpy as np
import pytest
from hypothesis import given
from scipy.stats import norm

from bisnn_pyro.analysis import (
    classification_metrics,
    classification_points,
    regression_metrics,
    regression_points,
)
from bisnn_pyro.errors import DataError

from .strategies import predictions


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


def test_wrong_input_is_named():
    with pytest.raises(DataError, match="y has shape"):
        regression_points(np.zeros((2, 3)), 1.0, np.zeros(4))
    with pytest.raises(DataError, match="probabilities"):
        classification_points([0.5, 0.5], [0])
