from itertools import combinations

import numpy as np
import pytest

from bisnn_pyro.analysis import classification_metrics, committee_size_scores
from bisnn_pyro.errors import DataError

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
    monkeypatch.setattr("bisnn_pyro.analysis.resampling._MAX_DRAWN", 400)
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
