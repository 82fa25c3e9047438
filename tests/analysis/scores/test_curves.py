from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bisnn_pyro.analysis import classification_metrics, committee_size_scores, early_scores, early_stopping
from bisnn_pyro.errors import DataError

# Three points of classes 0, 1, 1 at three steps: p(class 1).
P = np.array([[0.5, 0.6, 0.1], [0.2, 0.95, 0.4], [0.05, 0.3, 0.9]])
VOTES = np.stack((1 - P, P), axis=-1)
LABELS = np.array([0, 1, 1])
STEPS = [2, 5, 10]


def random_votes(seed, k=4, n=12, c=3):
    return np.random.default_rng(seed).dirichlet(np.ones(c), size=(k, n))


class TestScores:
    def test_each_step_is_scored_as_any_prediction(self):
        votes, labels = random_votes(0), np.arange(12) % 3
        columns = early_scores(votes, labels, [1, 3, 4, 8], 8, n_bins=5)
        for k in range(4):
            alone = classification_metrics(votes[k], labels, 5)
            assert {name: columns[name][k] for name in ("accuracy", "nll", "brier", "ece")} == {
                name: alone[name] for name in ("accuracy", "nll", "brier", "ece")
            }

    def test_columns(self):
        columns = early_scores(VOTES, LABELS, STEPS, 20)
        assert list(columns) == ["step", "time_fraction", "accuracy", "nll", "brier", "ece", "n"]
        np.testing.assert_array_equal(columns["step"], STEPS)
        np.testing.assert_allclose(columns["time_fraction"], [0.1, 0.25, 0.5])
        np.testing.assert_allclose(columns["accuracy"], [2 / 3, 2 / 3, 2 / 3])  # the tie goes to class 0
        np.testing.assert_allclose(columns["nll"][0], -np.log([0.5, 0.6, 0.1]).mean())
        np.testing.assert_array_equal(columns["n"], [3, 3, 3])

    def test_milliseconds(self):
        columns = early_scores(VOTES, LABELS, STEPS, 20, step_ms=2.5)
        np.testing.assert_allclose(columns["time_ms"], [5, 12.5, 25])

    def test_a_sure_mistake_is_infinite(self):
        votes = np.array([[[1.0, 0.0]], [[0.5, 0.5]]])
        assert early_scores(votes, [1], [1, 2], 2)["nll"].tolist() == [np.inf, pytest.approx(np.log(2))]


class TestStopping:
    def test_by_hand(self):
        columns = early_stopping(VOTES, LABELS, STEPS, 10, thresholds=[0.0, 0.75, 0.92, 1.0], step_ms=2.0)
        # 0.75: points 0 and 1 stop at step 5, point 2 at once (0.9 for class 0, wrong).
        # 0.92: point 0 at the last step, point 1 at 5; point 2 never gets there and is right at the end.
        np.testing.assert_allclose(columns["mean_step"], [2, (5 + 5 + 2) / 3, (10 + 5 + 10) / 3, 10])
        np.testing.assert_allclose(columns["accuracy"], [2 / 3, 2 / 3, 1, 2 / 3])
        np.testing.assert_allclose(columns["reached"], [1, 1, 2 / 3, 0])
        np.testing.assert_allclose(columns["mean_time_fraction"], columns["mean_step"] / 10)
        np.testing.assert_allclose(columns["mean_time_ms"], columns["mean_step"] * 2)
        np.testing.assert_array_equal(columns["n"], [3] * 4)

    @given(st.integers(0, 2**32), st.lists(st.floats(0, 1), min_size=1, max_size=6))
    def test_point_by_point(self, seed, thresholds):
        votes, labels, steps = random_votes(seed), np.arange(12) % 3, [1, 2, 5, 9]
        columns = early_stopping(votes, labels, steps, 9, thresholds=thresholds)
        for m, threshold in enumerate(thresholds):
            stops, right = [], []
            for n in range(12):
                k = next((k for k in range(4) if votes[k, n].max() >= threshold), 3)
                stops.append(steps[k])
                right.append(votes[k, n].argmax() == labels[n])
            assert columns["mean_step"][m] == pytest.approx(np.mean(stops))
            assert columns["accuracy"][m] == pytest.approx(np.mean(right))

    def test_an_unsure_predictor_has_a_curve_as_well(self):
        unsure = 0.9 / 3 + 0.1 * random_votes(0, n=60)
        columns = early_stopping(unsure, np.arange(60) % 3, [1, 2, 5, 9], 9)
        assert (columns["threshold"][0], columns["threshold"][-1]) == (0.0, 1.0)
        assert (columns["mean_step"][0], columns["mean_step"][-1]) == (1.0, 9.0)
        assert len(np.unique(columns["mean_step"])) > 10
        sure = np.ones((2, 3, 2)) * [1.0, 0.0]
        assert early_stopping(sure, [0, 0, 1], [1, 2], 2)["mean_step"].tolist() == [1.0, 1.0]

    @given(st.integers(0, 2**32))
    def test_who_wants_to_be_surer_waits_longer(self, seed):
        columns = early_stopping(random_votes(seed), np.arange(12) % 3, [1, 2, 5, 9], 9)
        assert (np.diff(columns["mean_step"]) >= 0).all()
        assert (np.diff(columns["reached"]) <= 0).all()


@pytest.mark.parametrize("score", [early_scores, early_stopping])
@pytest.mark.parametrize(
    ("votes", "steps", "message"),
    [
        (VOTES, [1, 2], "3 whole numbers"),
        (VOTES, [0, 1, 2], "ascend from 1"),
        (VOTES, [1, 1, 2], "ascend"),
        (VOTES, [1.0, 2.0, 3.0], "whole numbers"),
        (VOTES, [1, 2, 11], "the sequence has 10"),
        (VOTES[0], [1], "expected 3 axes"),
        (2 * VOTES, [1, 2, 3], "probabilities"),
    ],
)
def test_wrong_input(score, votes, steps, message):
    with pytest.raises(DataError, match=message):
        score(votes, LABELS, steps, 10)


@pytest.mark.parametrize("thresholds", [[], [1.5], [-0.1], [np.nan], [[0.5]]])
def test_wrong_thresholds(thresholds):
    with pytest.raises(DataError, match="thresholds"):
        early_stopping(VOTES, LABELS, STEPS, 10, thresholds=thresholds)


SCORES = ("accuracy", "nll", "brier", "ece")


@pytest.fixture
def draws(predictor):
    return np.stack([predictor(60, 3, seed=s)[0] for s in range(6)])


def test_every_subset_of_a_small_committee(draws):
    labels = np.arange(60) % 3
    columns = committee_size_scores(draws, labels, [1, 2, 6], n_subsets=400, level=0.9)
    assert columns["size"].tolist() == [1, 2, 6]
    assert columns["subsets"].tolist() == [6, 15, 1]  # 400 shuffles find every subset
    for row, size in enumerate([1, 2, 6]):
        members = combinations(range(6), size)
        scores = [classification_metrics(draws[list(m)].mean(0), labels) for m in members]
        for name in SCORES:
            values = np.sort([score[name] for score in scores])
            assert columns[name][row] == pytest.approx(values.mean())
            low, high = (int(np.ceil(q * len(values))) - 1 for q in (0.05, 0.95))
            assert columns[f"{name}_low"][row] == pytest.approx(values[max(low, 0)])
            assert columns[f"{name}_high"][row] == pytest.approx(values[high])


def test_blocks_and_seeds_change_nothing(draws, monkeypatch):
    labels = np.arange(60) % 3
    whole = committee_size_scores(draws, labels, seed=4)
    assert whole["size"].tolist() == [1, 2, 5, 6]
    monkeypatch.setattr("bisnn_pyro.analysis.intervals._MAX_DRAWN", 400)
    again = committee_size_scores(draws, labels, seed=4)
    for name, column in whole.items():
        np.testing.assert_allclose(again[name], column)
    other = committee_size_scores(draws, labels, [2], n_subsets=3, seed=5)
    assert other["nll"] != committee_size_scores(draws, labels, [2], n_subsets=3, seed=4)["nll"]


def test_hard_votes_keep_their_ties_and_an_infinite_nll():
    # Three members, one point each way: a committee of two is split, and the tie goes to class 0.
    votes = np.eye(2)[np.array([[0, 0], [1, 1], [1, 1]])]
    columns = committee_size_scores(votes, [0, 1], [1, 2, 3], n_subsets=50)
    np.testing.assert_allclose(columns["accuracy"], [0.5, 0.5, 0.5])
    assert columns["nll"][0] == columns["nll_high"][0] == np.inf
    assert columns["nll"][2] == pytest.approx(-(np.log(1 / 3) + np.log(2 / 3)) / 2)


def test_one_member():
    columns = committee_size_scores([[[0.8, 0.2], [0.4, 0.6]]], [0, 0])
    assert columns["size"].tolist() == columns["subsets"].tolist() == [1]
    assert columns["accuracy"] == columns["accuracy_low"] == 0.5


@pytest.mark.parametrize("sizes", [[0, 1], [2, 1], [1, 7], [], [1.5], [2, 2]])
def test_wrong_sizes_are_named(draws, sizes):
    with pytest.raises(DataError, match="at most 6, the number of members"):
        committee_size_scores(draws, np.zeros(60), sizes)


def test_wrong_input_is_named(draws):
    with pytest.raises(DataError, match="n_subsets"):
        committee_size_scores(draws, np.zeros(60), n_subsets=0)
    with pytest.raises(DataError, match="level"):
        committee_size_scores(draws, np.zeros(60), level=1)
