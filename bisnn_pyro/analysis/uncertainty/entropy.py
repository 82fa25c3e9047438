"""How much of a committee's uncertainty its members share, and how much they disagree.

The split is that of Houlsby et al. (2011) and Depeweg et al. (2018): the entropy of the mean prediction
(total) is the mean entropy of the members (expected, "aleatoric") plus the mutual information between
prediction and weights ("epistemic").  All functions take draws `[S, N, C]` and give one number a point.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.validation import FloatArray, as_probabilities
from bisnn_pyro.analysis.votes import of_members


def _entropy(probabilities: FloatArray) -> FloatArray:
    """Entropy along the last axis in nats, with 0 log 0 = 0; values rounded above 1 count as 1."""
    p = np.minimum(probabilities, 1.0)
    return np.asarray(-(p * np.log(np.where(p > 0, p, 1.0))).sum(-1))


@of_members
def predictive_entropy(draws: ArrayLike) -> FloatArray:
    """Entropy of the committee's mean prediction: the total uncertainty.

    Args:
        draws: `[S, N, C]` probabilities.

    Returns:
        `[N]`, nats, in [0, log C].

    Raises:
        DataError: an array of a wrong shape or with wrong values.
    """
    return _total(as_probabilities(draws, "draws", 3))


@of_members
def expected_entropy(draws: ArrayLike) -> FloatArray:
    """Mean entropy of the members' own predictions: the part that more data would not remove.

    Args:
        draws: `[S, N, C]` probabilities.

    Returns:
        `[N]`, nats, in [0, log C].

    Raises:
        DataError: an array of a wrong shape or with wrong values.
    """
    return _expected(as_probabilities(draws, "draws", 3))


@of_members
def mutual_information(draws: ArrayLike) -> FloatArray:
    """Mutual information of prediction and weights: total less expected entropy, the epistemic part.

    Args:
        draws: `[S, N, C]` probabilities.

    Returns:
        `[N]`, nats, at least 0 (Jensen; a negative rounding error is set to 0).

    Raises:
        DataError: an array of a wrong shape or with wrong values.
    """
    probs = as_probabilities(draws, "draws", 3)
    return np.maximum(_total(probs) - _expected(probs), 0.0)


@of_members
def disagreement(draws: ArrayLike) -> FloatArray:
    """Share of members whose top class is not the committee's.

    Args:
        draws: `[S, N, C]` probabilities; ties go to the lowest class index.

    Returns:
        `[N]` in [0, 1].

    Raises:
        DataError: an array of a wrong shape or with wrong values.
    """
    probs = as_probabilities(draws, "draws", 3)
    return np.asarray((probs.argmax(-1) != probs.mean(0).argmax(-1)).mean(0))


@of_members
def predictive_variance(draws: ArrayLike) -> FloatArray:
    """Variance of the class probabilities over members, summed over classes.

    Args:
        draws: `[S, N, C]` probabilities.

    Returns:
        `[N]`, divided by S (not S - 1), so that one member gives 0.

    Raises:
        DataError: an array of a wrong shape or with wrong values.
    """
    return np.asarray(as_probabilities(draws, "draws", 3).var(0).sum(-1))


@of_members
def vote_variance(draws: ArrayLike) -> FloatArray:
    """Variance over members of the probability that they give the committee's top class.

    It is the part of the vote's own variance p (1 - p) that disagreement makes up, p being the committee's
    probability of that class (law of total variance); the rest is the members' mean p_s (1 - p_s).

    Args:
        draws: `[S, N, C]` probabilities; ties go to the lowest class index.

    Returns:
        `[N]` in [0, 1/4], divided by S (not S - 1), so that one member gives 0.

    Raises:
        DataError: an array of a wrong shape or with wrong values.
    """
    probs = as_probabilities(draws, "draws", 3)
    top = probs.mean(0).argmax(-1)
    return np.asarray(probs[:, np.arange(len(top)), top].var(0))


def _total(draws: FloatArray) -> FloatArray:
    return _entropy(draws.mean(0))


def _expected(draws: FloatArray) -> FloatArray:
    # Member by member, so that what is needed besides the draws is no larger than a few of them.
    return np.asarray(np.mean([_entropy(member) for member in draws], axis=0))
