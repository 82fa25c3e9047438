"""Detecting out-of-distribution inputs by a score: ROC curve, AUROC, AUPR and the FPR at a TPR.

Scores are higher for inputs that look less like the data (predictive entropy, mutual information).
Everything follows from how many in-distribution and out-of-distribution inputs share each distinct score, so
that ties are exact: inputs of one score are flagged together or not at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.intervals import (
    MeanInterval,
    blocks,
    check_resamples,
    percentile_interval,
    resample_counts,
)
from bisnn_pyro.analysis.validation import FloatArray, IntArray, as_real, check_level
from bisnn_pyro.errors import DataError

Side = Literal["out", "in"]


@dataclass(frozen=True)
class RocCurve:
    """Rates of inputs flagged at G + 1 thresholds, from (0, 0) to (1, 1).

    Attributes:
        threshold: `[G + 1]` descending; inputs of at least this score are flagged; first infinity (none).
        fpr: `[G + 1]` share of the in-distribution inputs that are flagged.
        tpr: `[G + 1]` share of the out-of-distribution inputs that are flagged.
    """

    threshold: FloatArray
    fpr: FloatArray
    tpr: FloatArray


def roc_curve(inside: ArrayLike, outside: ArrayLike) -> RocCurve:
    """ROC curve with a point at every distinct score; the straight line between two is what ties give.

    Args:
        inside: `[N]` scores of in-distribution inputs; infinities may be among them.
        outside: `[M]` scores of out-of-distribution inputs.

    Raises:
        DataError: an array of a wrong shape, empty, or with NaN.
    """
    scores, pos, neg = _counts(inside, outside, "out")
    return RocCurve(
        threshold=np.concatenate(([np.inf], scores)),
        fpr=np.concatenate(([0.0], np.cumsum(neg) / neg.sum())),
        tpr=np.concatenate(([0.0], np.cumsum(pos) / pos.sum())),
    )


def auroc(inside: ArrayLike, outside: ArrayLike) -> float:
    """Area under the ROC curve: the share of pairs ranked right, ties counting half.

    It is the Mann-Whitney statistic over N M; 0.5 for a score that tells nothing, and the same whichever
    side counts as positive.

    Example:
        >>> auroc([0.1, 0.2, 0.3], [0.3, 0.8])
        0.9166666666666666

    Args:
        inside: `[N]` scores of in-distribution inputs.
        outside: `[M]` scores of out-of-distribution inputs.

    Raises:
        DataError: an array of a wrong shape, empty, or with NaN.
    """
    return float(_auroc(*_counts(inside, outside, "out")[1:]))


def aupr(inside: ArrayLike, outside: ArrayLike, positive: Side = "out") -> float:
    """Area under the precision-recall curve, as average precision: precision where recall rises.

    Steps, not straight lines, which would be too high (Davis and Goadrich 2006).  It depends on the share
    of positives, which is its value for a score that tells nothing; compare it on the same data alone.

    Args:
        inside: `[N]` scores of in-distribution inputs.
        outside: `[M]` scores of out-of-distribution inputs.
        positive: which side is to be found, ``"out"`` by high scores or ``"in"`` by low ones.

    Raises:
        DataError: an array of a wrong shape, empty, or with NaN, or no such side.
    """
    return float(_aupr(*_counts(inside, outside, positive)[1:]))


def fpr_at_tpr(inside: ArrayLike, outside: ArrayLike, tpr: float = 0.95, positive: Side = "out") -> float:
    """False alarms at the strictest threshold that finds at least `tpr` of the positives (FPR95).

    Nothing is interpolated: the rate belongs to a threshold one could set.  Papers differ in which side is
    positive: with ``"out"`` it is the share of good inputs flagged when 95 % of the others are
    found (Hendrycks et al. 2019), with ``"in"`` that of out-of-distribution inputs accepted when 95 % of the
    good ones are (Liang et al. 2018).  Say which.

    Args:
        inside: `[N]` scores of in-distribution inputs.
        outside: `[M]` scores of out-of-distribution inputs.
        tpr: the share of positives to find, in (0, 1).
        positive: ``"out"`` or ``"in"``.

    Raises:
        DataError: an array of a wrong shape, empty, or with NaN, `tpr` outside (0, 1), or no such side.
    """
    if not 0 < tpr < 1:
        raise DataError(f"tpr is {tpr!r}; expected a number strictly between 0 and 1, such as 0.95.")
    return float(_fpr(*_counts(inside, outside, positive)[1:], tpr))


def detection_scores(
    inside: ArrayLike,
    outside: ArrayLike,
    level: float = 0.95,
    *,
    n_resamples: int = 1000,
    seed: int = 0,
) -> dict[str, MeanInterval]:
    """AUROC, AUPR and FPR95 with percentile bootstrap intervals over the inputs of both sides.

    *Assumes* independent inputs, drawn with replacement within each side, so that N and M stay.  *Says
    nothing* about training or about other out-of-distribution data: the intervals are for this network and
    these two sets.  *Fails* for a perfect separation, where every resample is perfect and the interval a
    point.

    Args:
        inside: `[N]` scores of in-distribution inputs.
        outside: `[M]` scores of out-of-distribution inputs.
        level: coverage.
        n_resamples: the number of bootstrap draws.
        seed: of the generator; the same seed gives the same intervals.

    Returns:
        ``auroc``, ``aupr_out``, ``aupr_in`` and ``fpr95`` (outside positive): the score itself, interval
        and half its length; n = N + M.

    Raises:
        DataError: an array of a wrong shape, empty, or with NaN, or `level` outside (0, 1).
    """
    check_level(level)
    check_resamples(n_resamples)
    _, pos, neg = _counts(inside, outside, "out")
    exact = {name: float(score(pos, neg)) for name, score in _SCORES.items()}
    drawn = _resampled(pos, neg, n_resamples, np.random.default_rng(seed))
    n = int(pos.sum() + neg.sum())
    return {name: percentile_interval(value, drawn[name], n, level) for name, value in exact.items()}


def _counts(inside: ArrayLike, outside: ArrayLike, positive: Side) -> tuple[FloatArray, IntArray, IntArray]:
    """Distinct scores `[G]`, the most positive first, and how many positives and negatives have each."""
    if positive not in ("out", "in"):
        raise DataError(f"positive is {positive!r}; expected 'out' or 'in'.")
    low = as_real(inside, "inside", 1, finite=False)
    high = as_real(outside, "outside", 1, finite=False)
    scores, index = np.unique(np.concatenate((low, high)), return_inverse=True)
    n_low = np.bincount(index[: len(low)], minlength=len(scores))
    n_high = np.bincount(index[len(low) :], minlength=len(scores))
    return (scores[::-1], n_high[::-1], n_low[::-1]) if positive == "out" else (scores, n_low, n_high)


def _auroc(pos: IntArray, neg: IntArray) -> FloatArray:
    n_neg = neg.sum(-1, keepdims=True)
    # Twice the negatives below, ties once: whole numbers, so that equal scores give equal areas.
    beaten = 2 * (n_neg - np.cumsum(neg, -1)) + neg
    return np.asarray((pos * beaten).sum(-1) / (2 * pos.sum(-1) * n_neg[..., 0]))


def _aupr(pos: IntArray, neg: IntArray) -> FloatArray:
    found = np.cumsum(pos, -1)
    precision = found / np.maximum(found + np.cumsum(neg, -1), 1)
    return np.asarray((pos * precision).sum(-1) / pos.sum(-1))


def _fpr(pos: IntArray, neg: IntArray, tpr: float = 0.95) -> FloatArray:
    enough = np.cumsum(pos, -1) / pos.sum(-1, keepdims=True) >= tpr
    first = enough.argmax(-1)[..., None]
    return np.asarray(np.take_along_axis(np.cumsum(neg, -1), first, -1)[..., 0] / neg.sum(-1))


def _aupr_in(pos: IntArray, neg: IntArray) -> FloatArray:
    return _aupr(neg[..., ::-1], pos[..., ::-1])


_SCORES: dict[str, Callable[[IntArray, IntArray], FloatArray]] = {
    "auroc": _auroc,
    "aupr_out": _aupr,
    "aupr_in": _aupr_in,
    "fpr95": _fpr,
}


def _resampled(
    pos: IntArray, neg: IntArray, n_resamples: int, rng: np.random.Generator
) -> dict[str, FloatArray]:
    """Every score `[R]` of inputs drawn again within each side."""
    n_scores = len(pos)
    # Each input as the index of its score, so that a resample is a count of indices.
    sides = [np.repeat(np.arange(n_scores), counts) for counts in (pos, neg)]
    parts: dict[str, list[FloatArray]] = {name: [] for name in _SCORES}
    for rows in blocks(n_resamples, sum(map(len, sides))):
        drawn = [resample_counts(side, n_scores, rows, rng) for side in sides]
        for name, score in _SCORES.items():
            parts[name].append(score(*drawn))
    return {name: np.concatenate(part) for name, part in parts.items()}
