"""Early decisions: how good a predictor is before its time is over, and when it is sure enough to stop."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.metrics import classification_metrics
from bisnn_pyro.analysis.validation import FloatArray, IntArray, as_labels, as_probabilities
from bisnn_pyro.errors import DataError

SCORES = ("accuracy", "nll", "brier", "ece")

#: Thresholds between the one that stops everything and the one that stops nothing.
N_THRESHOLDS = 20

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
    matter: read it beside the calibration.  A threshold chosen on these points makes its accuracy look better
    than it will be; choose it on validation points.

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
