"""Scores along another axis: after each number of elapsed steps, and for each size of the committee."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.intervals import blocks
from bisnn_pyro.analysis.scores.points import classification_metrics
from bisnn_pyro.analysis.validation import FloatArray, IntArray, as_labels, as_probabilities, check_level
from bisnn_pyro.errors import DataError

SCORES = ("accuracy", "nll", "brier", "ece")

#: Confidence thresholds between the one that stops every point and the one that stops none.
N_THRESHOLDS = 20
#: The committee sizes where none are given; the whole committee follows those that are smaller.
SIZES = (1, 2, 5, 10, 20, 50, 100)

Columns = dict[str, np.ndarray]


def early_scores(
    votes: ArrayLike,
    labels: ArrayLike,
    steps: Sequence[int],
    n_steps: int,
    *,
    step_ms: float | None = None,
    n_bins: int = 15,
) -> Columns:
    """Scores of a predictor after each of K numbers of elapsed steps.

    Args:
        votes: `[K, N, C]` probabilities after so many steps.
        labels: `[N]` in 0..C-1.
        steps: `[K]` numbers of elapsed steps, ascending.
        n_steps: T, the length of the sequence.
        step_ms: length of a step in milliseconds, where it has one.
        n_bins: bins of the calibration error.

    Returns:
        Columns `[K]`: ``step``, ``time_ms`` (with ``step_ms``), ``time_fraction`` (of the sequence),
        ``accuracy``, ``nll`` (nats), ``brier``, ``ece`` and ``n``, the number of points.

    Raises:
        DataError: an array of a wrong shape or with wrong values, or steps not ascending in 1..T.
    """
    probs, truth, elapsed = _checked(votes, labels, steps, n_steps)
    scores = [classification_metrics(vote, truth, n_bins) for vote in probs]
    return {
        **_times(elapsed, n_steps, step_ms, "step"),
        **{name: np.array([score[name] for score in scores]) for name in SCORES},
        "n": np.full(len(elapsed), len(truth)),
    }


def early_stopping(
    votes: ArrayLike,
    labels: ArrayLike,
    steps: Sequence[int],
    n_steps: int,
    *,
    step_ms: float | None = None,
    thresholds: Sequence[float] | None = None,
) -> Columns:
    """What it costs and saves to stop at the first step at which the predictor is sure enough.

    A point stops at the first of the K steps whose top probability reaches the threshold, and at the last of
    them if none does; between those steps nobody looks.  The rule says when, and how right is then another
    matter: read it together with the calibration.  A threshold chosen on these points makes its accuracy look
    better than it will be; choose it on validation points.

    Args:
        votes: `[K, N, C]` probabilities after so many steps.
        labels: `[N]` in 0..C-1.
        steps: `[K]` numbers of elapsed steps, ascending.
        n_steps: T, the length of the sequence.
        step_ms: length of a step in milliseconds, where it has one.
        thresholds: `[M]` confidences in [0, 1]; 0, quantiles of the predictor's own confidences, and 1 where
            None, so that a committee that is never sure has a curve as well.

    Returns:
        Columns `[M]`: ``threshold``, ``mean_step``, ``mean_time_ms`` (with ``step_ms``),
        ``mean_time_fraction``, ``accuracy``, ``reached`` (share of points that reached the threshold) and
        ``n``.

    Raises:
        DataError: as for :func:`early_scores`, or a threshold outside [0, 1].
    """
    probs, truth, elapsed = _checked(votes, labels, steps, n_steps)
    confidence = np.minimum(probs.max(-1), 1.0)  # [K, N], and so is what is right
    right = probs.argmax(-1) == truth
    levels = _quantiles(confidence) if thresholds is None else np.asarray(thresholds, dtype=np.float64)
    if levels.ndim != 1 or not levels.size or not ((levels >= 0) & (levels <= 1)).all():
        raise DataError(f"thresholds are {levels.tolist()!r}; expected confidences in [0, 1].")
    sure = confidence >= levels[:, None, None]  # [M, K, N]
    reached = sure.any(axis=1)
    stop = np.where(reached, sure.argmax(axis=1), len(elapsed) - 1)
    return {
        "threshold": levels,
        **_times(elapsed[stop].mean(axis=1), n_steps, step_ms, "mean_step"),
        "accuracy": right[stop, np.arange(len(truth))].mean(axis=1),
        "reached": reached.mean(axis=1),
        "n": np.full(len(levels), len(truth)),
    }


def committee_size_scores(
    draws: ArrayLike,
    labels: ArrayLike,
    sizes: Sequence[int] | None = None,
    *,
    n_subsets: int = 20,
    n_bins: int = 15,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Scores of committees of k of the S members, averaged over random subsets.

    The members are shuffled `n_subsets` times, and a committee of k is the first k of a shuffle: drawn
    without replacement, and nested, so that the curve is smoother than its intervals.

    *Assumes* members that are exchangeable draws of one posterior.  The interval is the central range of
    the subsets' scores: how much the choice of members matters, with test points and training fixed.
    *Fails* towards S, where subsets share most of their members and the range closes to a point; it is
    then no measure of how another committee of S would do.  One notices by k / S: read it up to a half.

    Args:
        draws: `[S, N, C]` probabilities, one row per member.
        labels: `[N]` in 0..C-1.
        sizes: numbers of members, ascending in 1..S; :data:`SIZES` below S, and S, where None.
        n_subsets: the number of shuffles.
        n_bins: bins of the calibration error.
        level: share of the subsets inside the interval.
        seed: of the generator; the same seed gives the same subsets.

    Returns:
        Columns of one row per size: ``size``, ``subsets`` (how many different committees were scored), and
        for ``accuracy``, ``nll`` (nats, may be infinite), ``brier`` and ``ece`` the mean, ``*_low`` and
        ``*_high``.

    Raises:
        DataError: an array of a wrong shape or with wrong values, sizes that are not ascending in 1..S, or
            `level` outside (0, 1).
    """
    check_level(level)
    votes = as_probabilities(draws, "draws", 3)
    truth = as_labels(labels, *votes.shape[1:])
    n_members = len(votes)
    chosen = _sizes(sizes, n_members)
    if n_subsets < 1:
        raise DataError(f"n_subsets is {n_subsets}; expected at least 1.")
    rng = np.random.default_rng(seed)
    shuffles = np.array([rng.permutation(n_members) for _ in range(n_subsets)])
    columns: dict[str, list[float]] = {}
    for size in chosen:
        # Shuffles whose first members are the same, in any order, are one committee.
        subsets = np.unique(np.sort(shuffles[:, :size], axis=1), axis=0)
        table = _subset_scores(votes, truth, subsets, n_bins)
        row = {"size": size, "subsets": len(subsets), **_summary(table, level)}
        for name, value in row.items():
            columns.setdefault(name, []).append(value)
    return {name: np.array(values) for name, values in columns.items()}


def _checked(
    votes: ArrayLike, labels: ArrayLike, steps: Sequence[int], n_steps: int
) -> tuple[FloatArray, IntArray, IntArray]:
    probs = as_probabilities(votes, "votes", 3)
    elapsed = np.asarray(steps)
    whole = elapsed.dtype.kind in "iu" and elapsed.shape == probs.shape[:1]
    if not whole or elapsed[0] < 1 or (np.diff(elapsed) < 1).any():
        raise DataError(
            f"steps are {list(steps)!r}; expected {len(probs)} whole numbers that ascend from 1 or more, as "
            "many as there are votes."
        )
    if elapsed[-1] > n_steps:
        raise DataError(f"steps go to {elapsed[-1]} and the sequence has {n_steps}.")
    return probs, as_labels(labels, *probs.shape[1:]), elapsed


def _quantiles(confidence: FloatArray) -> FloatArray:
    inner = np.quantile(confidence, np.arange(1, N_THRESHOLDS) / N_THRESHOLDS)
    return np.unique(np.concatenate(([0.0], inner, [1.0])))


def _times(step: np.ndarray, n_steps: int, step_ms: float | None, name: str) -> Columns:
    prefix = name.removesuffix("step")
    in_ms = {} if step_ms is None else {f"{prefix}time_ms": step * step_ms}
    return {name: step, **in_ms, f"{prefix}time_fraction": step / n_steps}


def _sizes(sizes: Sequence[int] | None, n_members: int) -> list[int]:
    if sizes is None:
        return [size for size in SIZES if size < n_members] + [n_members]
    array = np.asarray(sizes)
    whole = array.ndim == 1 and array.size > 0 and array.dtype.kind in "iu"
    if not whole or array[0] < 1 or (np.diff(array) < 1).any() or array[-1] > n_members:
        raise DataError(
            f"sizes are {list(sizes)!r}; expected whole numbers that ascend from 1 or more to at most "
            f"{n_members}, the number of members."
        )
    return [int(size) for size in array]


def _subset_scores(votes: FloatArray, labels: np.ndarray, subsets: np.ndarray, n_bins: int) -> FloatArray:
    """Scores `[R, 4]` of the committees whose members `subsets` `[R, k]` names."""
    n_members, n_points, n_classes = votes.shape
    flat = votes.reshape(n_members, -1)
    rows, done = [], 0
    for n in blocks(len(subsets), flat.shape[1]):
        member = np.zeros((n, n_members))
        np.put_along_axis(member, subsets[done : done + n], 1.0, axis=1)
        # Summed, then divided: votes of 0 and 1 stay whole, so that ties between classes stay ties.
        means = (member @ flat).reshape(n, n_points, n_classes) / subsets.shape[1]
        scores = [classification_metrics(mean, labels, n_bins) for mean in means]
        rows += [[score[name] for name in SCORES] for score in scores]
        done += n
    return np.array(rows)


def _summary(table: FloatArray, level: float) -> dict[str, float]:
    # Ends are values that occurred: between an infinite NLL and a finite one there is nothing.
    low = np.quantile(table, 0.5 - level / 2, axis=0, method="inverted_cdf")
    high = np.quantile(table, 0.5 + level / 2, axis=0, method="inverted_cdf")
    means = table.mean(axis=0)
    columns: dict[str, float] = {}
    for k, name in enumerate(SCORES):
        columns |= {name: means[k], f"{name}_low": low[k], f"{name}_high": high[k]}
    return columns
