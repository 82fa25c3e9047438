"""The constant predictor against scores computed by hand, and what counts as better."""

import numpy as np
import pytest

from bisnn_pyro.analysis import ConstantPredictor, score_rows
from bisnn_pyro.analysis.scores.constant import SMALLEST_SCALE
from bisnn_pyro.errors import DataError


def test_scores_of_class_frequencies_by_hand():
    constant = ConstantPredictor.fit([0, 0, 0, 1, 2, 2], n_classes=3)
    assert constant.frequencies == pytest.approx((3 / 6, 1 / 6, 2 / 6))
    scores = constant.metrics([0, 1, 1, 2])
    assert scores["nll"] == pytest.approx(-(np.log(3 / 6) + 2 * np.log(1 / 6) + np.log(2 / 6)) / 4)
    assert scores["accuracy"] == 0.25  # it always says class 0
    brier = [(1, 0, 0), (0, 1, 0), (0, 1, 0), (0, 0, 1)] - np.array(constant.frequencies)
    assert scores["brier"] == pytest.approx((brier**2).sum(-1).mean())
    assert not constant.certain


def test_scores_of_a_regression_by_hand():
    constant = ConstantPredictor.fit([1.0, 2.0, 6.0])
    variance = np.mean(np.square([-2.0, -1.0, 3.0]))
    assert (constant.mean, constant.scale) == (3.0, pytest.approx(np.sqrt(variance)))
    scores = constant.metrics([3.0, 5.0])
    assert scores["rmse"] == pytest.approx(np.sqrt(2.0))
    assert scores["nll"] == pytest.approx(0.5 * np.log(2 * np.pi * variance) + (0 + 4) / 2 / variance / 2)


def test_targets_that_are_all_the_same():
    assert ConstantPredictor.fit([2, 2], n_classes=3).certain
    alike = ConstantPredictor.fit([0.5, 0.5])
    assert alike.certain
    assert alike.scale == SMALLEST_SCALE
    assert np.isfinite(alike.metrics([0.5, 0.4])["nll"])
    with pytest.raises(DataError, match="y is empty"):
        ConstantPredictor.fit([], n_classes=2)


@pytest.mark.parametrize(
    ("scores", "better"),
    [
        ({"nll": 0.69, "accuracy": 0.5}, False),  # less than 2 % below log 2
        ({"nll": 0.67, "accuracy": 0.5}, True),
        ({"nll": 3.0, "accuracy": 0.95}, True),  # overconfident, and it has learned
        ({"nll": 3.0, "accuracy": 0.59}, False),  # within two standard errors, 0.1
        ({"nll": float("nan"), "accuracy": 0.5}, False),
    ],
)
def test_what_beats_a_fair_coin(scores, better):
    y = np.arange(100) % 2
    assert ConstantPredictor.fit(y, n_classes=2).beaten_by(scores, y) is better


def test_what_beats_the_mean():
    y = np.linspace(0, 1, 50)
    constant = ConstantPredictor.fit(y)
    rmse = constant.metrics(y)["rmse"]
    assert constant.beaten_by({"rmse": 0.97 * rmse, "nll": 9.0}, y)
    assert not constant.beaten_by({"rmse": 0.99 * rmse, "nll": -9.0}, y)
    assert not constant.beaten_by({"rmse": 1.5 * rmse, "nll": 0.0}, y)


def test_a_single_class_cannot_be_beaten_by_accuracy():
    y = np.zeros(9, int)
    assert not ConstantPredictor.fit([0, 1], n_classes=2).beaten_by({"nll": 0.7, "accuracy": 1.0}, y)


@pytest.mark.parametrize("constant", [ConstantPredictor((0.25, 0.75)), ConstantPredictor((), 0.5, 0.1)])
def test_it_is_stored_and_scores_other_targets(constant):
    record = constant.record([0, 1])
    assert record["constant"] == constant.metrics([0, 1])
    assert ConstantPredictor.rescored(record, [1, 1])["constant"] == constant.metrics([1, 1])
    assert ConstantPredictor.rescored({}, [1, 1]) == {}


def test_rows_of_an_earlier_release_have_no_constant():
    assert score_rows({"predictors": {"mode": {"nll": 1.0}}}) == [{"predictor": "mode", "nll": 1.0}]
