import numpy as np
import pytest
from scipy.stats import norm, rankdata

from bisnn_pyro.analysis import (
    PredictedPoints,
    compare_seeds,
    rank_counts,
    run_inference_data,
    seed_agreement_table,
    stack_seeds,
)
from bisnn_pyro.errors import DataError


def rank_r_hat(values):
    """Vehtari et al. (2021): the larger split R-hat of normal scores, of the values and of them folded."""

    def split_r_hat(x):
        half = x.shape[1] // 2
        chains = np.concatenate([x[:, :half], x[:, -half:]])
        scores = norm.ppf((rankdata(chains) - 3 / 8) / (chains.size + 1 / 4)).reshape(chains.shape)
        n = scores.shape[1]
        between, within = n * scores.mean(1).var(ddof=1), scores.var(1, ddof=1).mean()
        return np.sqrt((between / within + n - 1) / n)

    return max(split_r_hat(values), split_r_hat(np.abs(values - np.median(values))))


@pytest.mark.parametrize("shift", [0.0, 0.5, 5.0])
def test_against_the_paper(shift):
    values = np.random.default_rng(1).normal(size=(4, 50)) + shift * np.arange(4)[:, None]
    found = compare_seeds(values)
    assert found.r_hat == pytest.approx(rank_r_hat(values), abs=1e-9)
    assert (found.n_seeds, found.n_draws, found.why_not) == (4, 50, "")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.random.default_rng(0).normal(size=(1, 50)), "one training seed"),
        (np.random.default_rng(0).normal(size=(3, 1)), "point estimate"),
        (np.random.default_rng(0).normal(size=(3, 3)), "3 draw"),
        (np.ones((3, 50)), "constant"),
        (np.ones((3, 50)) * np.arange(3)[:, None], "infinite"),
    ],
)
def test_where_it_means_nothing(values, words):
    found = compare_seeds(values)
    assert np.isnan(found.r_hat)
    assert words in found.why_not


def run(seed, n_draws=20):
    probs = np.random.default_rng(seed).dirichlet([2.0, 2.0], size=(n_draws, 6))
    return run_inference_data(
        seed=seed,
        test=PredictedPoints(np.zeros(6), np.log(probs[..., 0]), probabilities=probs),
        draws={"flat": np.ones(n_draws), "w": np.ones((n_draws, 3))},
    )


def test_table_of_stacked_seeds():
    table = seed_agreement_table(stack_seeds([run(0), run(1), run(2)]))
    first, second = table.numbers
    assert first["variable"] == "mean_log_likelihood"
    assert (first["seeds"], first["draws"]) == (3, 20)
    assert 0.9 < first["r_hat"] < 1.5
    assert (second["variable"], second["r_hat"]) == ("flat", None)
    assert any(note.startswith("flat: constant") for note in table.notes)
    assert "mean_log_likelihood" in table.plain()
    with pytest.raises(DataError, match="'w' with one number"):
        seed_agreement_table(run(0), ["w"])


def test_ranks_by_hand():
    counts = rank_counts([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]], n_bins=4)
    assert counts.tolist() == [[2, 2, 0, 0], [0, 0, 2, 2]]
    assert rank_counts([[1.0, 1.0], [2.0, 0.0]], n_bins=2).sum() == 4
    mixed = rank_counts(np.random.default_rng(0).normal(size=(3, 3000)), n_bins=10)
    assert mixed.sum(1).tolist() == [3000] * 3
    assert np.abs(mixed - 300).max() < 100


@pytest.mark.parametrize(
    ("values", "bins", "words"),
    [(np.ones((2, 3)), 4, "no ranks"), (np.eye(2), 0, "n_bins"), ([[np.nan, 1]], 2, "NaN")],
)
def test_bad_input(values, bins, words):
    with pytest.raises(DataError, match=words):
        rank_counts(values, bins)
