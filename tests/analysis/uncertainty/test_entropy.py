import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings

from bisnn_pyro.analysis import (
    disagreement,
    expected_entropy,
    mutual_information,
    predictive_entropy,
    predictive_variance,
    vote_variance,
)
from bisnn_pyro.errors import DataError
from tests.analysis.strategies import committees

SURE = np.array([[[1.0, 0.0]], [[0.0, 1.0]]])  # two members, one point: each sure, of opposite classes


def test_entropies_equal_scipy(predictor):
    draws = np.stack([predictor(20, 4, seed=s)[0] for s in range(5)])
    np.testing.assert_allclose(predictive_entropy(draws), scipy.stats.entropy(draws.mean(0), axis=-1))
    np.testing.assert_allclose(expected_entropy(draws), scipy.stats.entropy(draws, axis=-1).mean(0))


def test_sure_members_that_disagree_are_all_epistemic():
    assert predictive_entropy(SURE) == pytest.approx(math.log(2))
    assert expected_entropy(SURE) == 0
    assert mutual_information(SURE) == pytest.approx(math.log(2))
    assert disagreement(SURE) == 0.5
    assert predictive_variance(SURE) == pytest.approx(0.5)
    assert vote_variance(SURE) == pytest.approx(0.25)


def test_equal_members_have_no_epistemic_part(predictor):
    probs, _ = predictor(30, 3)
    draws = np.repeat(probs[None], 4, 0)
    np.testing.assert_allclose(mutual_information(draws), 0, atol=1e-15)
    thirds = np.repeat(probs[None], 3, 0)
    # Rounding makes the plain difference negative for some of these; information never is.
    assert (predictive_entropy(thirds) - expected_entropy(thirds)).min() < 0
    assert mutual_information(thirds).min() == 0
    np.testing.assert_array_equal(disagreement(draws), 0)
    np.testing.assert_allclose(predictive_variance(draws), 0, atol=1e-30)


@settings(max_examples=60, deadline=None)
@given(committees())
def test_bounds(draws):
    total, aleatoric, epistemic = (
        predictive_entropy(draws),
        expected_entropy(draws),
        mutual_information(draws),
    )
    assert total.shape == (draws.shape[1],)
    assert (epistemic >= 0).all()
    assert (total <= math.log(draws.shape[2]) + 1e-12).all()
    assert (aleatoric >= 0).all()
    np.testing.assert_allclose(aleatoric + epistemic, total, atol=1e-12)
    assert ((disagreement(draws) >= 0) & (disagreement(draws) <= 1)).all()


@settings(max_examples=60, deadline=None)
@given(committees())
def test_the_votes_variance_has_two_parts(draws):
    top = draws.mean(0).argmax(-1)
    p = draws[:, np.arange(len(top)), top]
    total = p.mean(0) * (1 - p.mean(0))
    np.testing.assert_allclose(vote_variance(draws) + (p * (1 - p)).mean(0), total, atol=1e-12)
    assert (vote_variance(draws) <= predictive_variance(draws) + 1e-12).all()
    if draws.shape[2] == 2:
        np.testing.assert_allclose(2 * vote_variance(draws), predictive_variance(draws), atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(committees())
def test_order_of_members_does_not_matter(draws):
    np.testing.assert_allclose(mutual_information(draws[::-1]), mutual_information(draws), atol=1e-12)
    np.testing.assert_allclose(predictive_variance(draws[::-1]), predictive_variance(draws), atol=1e-12)


@pytest.mark.parametrize(
    "function", [predictive_entropy, mutual_information, disagreement, predictive_variance, vote_variance]
)
def test_wrong_shape_is_named(function):
    with pytest.raises(DataError, match=r"draws has shape \(1, 2\); expected 3 axes"):
        function([[0.5, 0.5]])
