"""Forecasts of yes-or-no events, what came of them, and their reliability in bins.

A classifier of C classes makes such forecasts in two ways.  The *top label* gives one per point: the
confidence in the predicted class, and whether it was right.  The *marginals* give one per point and class:
the probability of the class, and whether it was the label.  A predictor that is calibrated in all its
marginals need not be calibrated in its top label, nor the other way round, so a calibration error is always
stated together with its form.

Conventions, the same everywhere in the package:

* The confidence is the probability of the predicted (top) class; ties go to the lowest class index.
* Bins are half open on the left, ``(lo, hi]``, as in Guo et al. (2017, "On calibration of modern neural
  networks"); the first is closed, ``[0, hi]``, so that every value in [0, 1] has exactly one bin.
  (torchmetrics bins ``[lo, hi)``; the two differ only for a confidence exactly on an inner edge, and at 1.0,
  for which torchmetrics 1.9 opens a further bin.)
* Equal-mass bins never split points of equal confidence: a group of ties goes as a whole to the bin in which
  its middle rank falls, and bins that stay empty are dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.intervals import calibrated_outcomes, wilson_interval
from bisnn_pyro.analysis.validation import (
    BoolArray,
    FloatArray,
    IntArray,
    as_forecasts,
    as_labels,
    as_probabilities,
)
from bisnn_pyro.analysis.votes import of_votes
from bisnn_pyro.errors import DataError

#: The number of bins of every calibration error and diagram.
N_BINS = 15

Scheme = Literal["width", "mass"]
Form = Literal["top-label", "marginal"]
Pair = tuple[FloatArray, FloatArray]


@dataclass(frozen=True)
class ReliabilityBins:
    """What a reliability diagram shows; `B` bins, NaN where a bin is empty.

    Attributes:
        edges: `[B + 1]`, ascending from 0 to 1; bin b is ``(edges[b], edges[b + 1]]``, the first closed.
        count: `[B]` points in the bin.
        confidence: `[B]` mean confidence in the bin.
        accuracy: `[B]` share of right predictions in the bin.
        lower: `[B]` lower end of the Wilson interval of the accuracy.
        upper: `[B]` upper end.
        level: coverage of that interval.
    """

    edges: FloatArray
    count: IntArray
    confidence: FloatArray
    accuracy: FloatArray
    lower: FloatArray
    upper: FloatArray
    level: float

    @property
    def gap(self) -> FloatArray:
        """`[B]` absolute difference between accuracy and confidence, 0 where a bin is empty."""
        return np.nan_to_num(np.abs(self.accuracy - self.confidence), nan=0.0)

    @property
    def ece(self) -> float:
        """Expected calibration error: the gap averaged over points, in [0, 1]."""
        # Clipped for rounding alone: a mean of gaps cannot pass the largest, nor 1.
        return float(min((self.gap * self.count).sum() / self.count.sum(), self.mce))

    @property
    def mce(self) -> float:
        """Maximum calibration error: the largest gap of a filled bin, in [0, 1]."""
        return float(self.gap.max())


@of_votes
def reliability_bins(
    probabilities: ArrayLike,
    labels: ArrayLike,
    n_bins: int = 15,
    scheme: Scheme = "width",
    level: float = 0.95,
) -> ReliabilityBins:
    """Reliability of the top-label confidence.

    Args:
        probabilities: `[N, C]`, binary tasks with C = 2.
        labels: `[N]` in 0..C-1.
        n_bins: see :func:`bin_confidences`.
        scheme: see :func:`bin_confidences`.
        level: coverage of the Wilson intervals.

    Raises:
        DataError: an array of a wrong shape or with wrong values.
    """
    return bin_confidences(*top_label(probabilities, labels), n_bins, scheme, level)


def bin_confidences(
    confidence: ArrayLike,
    correct: ArrayLike,
    n_bins: int = 15,
    scheme: Scheme = "width",
    level: float = 0.95,
) -> ReliabilityBins:
    """Bin confidences in [0, 1] against outcomes; the work behind :func:`reliability_bins`.

    Args:
        confidence: `[N]` in [0, 1].
        correct: `[N]` booleans or 0/1, whether the prediction was right.
        n_bins: the number of bins; equal-mass bins may be fewer (ties, or N < n_bins).
        scheme: ``"width"`` for equal widths, ``"mass"`` for equal counts.
        level: coverage of the Wilson intervals.

    Raises:
        DataError: a wrong shape, value, number of bins or scheme.
    """
    conf, hits = as_forecasts(confidence, correct)
    edges = bin_edges(conf, n_bins, scheme)
    index = bin_index(conf, edges)
    count = np.bincount(index, minlength=len(edges) - 1)
    filled = np.where(count > 0, count, np.nan)
    right = np.bincount(index, weights=hits, minlength=len(count))
    lower, upper = wilson_interval(right, count, level)
    return ReliabilityBins(
        edges=edges,
        count=count.astype(np.int64),
        confidence=np.bincount(index, weights=conf, minlength=len(count)) / filled,
        accuracy=right / filled,
        lower=lower,
        upper=upper,
        level=level,
    )


@of_votes
def top_label(probabilities: ArrayLike, labels: ArrayLike) -> tuple[FloatArray, BoolArray]:
    """Confidence and rightness of the predicted class.

    Args:
        probabilities: `[N, C]`.
        labels: `[N]` in 0..C-1.

    Returns:
        The largest probability of each row, `[N]`, and whether its class is the label, `[N]`.

    Raises:
        DataError: an array of a wrong shape or with wrong values.
    """
    probs = as_probabilities(probabilities)
    truth = as_labels(labels, *probs.shape)
    return np.minimum(probs.max(-1), 1.0), probs.argmax(-1) == truth


@of_votes
def class_forecasts(probabilities: ArrayLike, labels: ArrayLike) -> list[Pair]:
    """Probability of each class, and whether it was the label.

    Args:
        probabilities: `[N, C]`.
        labels: `[N]` in 0..C-1.

    Returns:
        One pair per class: `[N]` probabilities and `[N]` zeros and ones.

    Raises:
        DataError: an array of a wrong shape or with wrong values.
    """
    probs = as_probabilities(probabilities)
    truth = as_labels(labels, *probs.shape)
    columns = np.minimum(probs.T, 1.0)  # rows may sum to one with float32's rounding alone
    return [(column, (truth == k).astype(np.float64)) for k, column in enumerate(columns)]


def forecasts(probabilities: ArrayLike, labels: ArrayLike, form: Form) -> list[Pair]:
    """The pairs of a form: one for the top label, C for the marginals.

    Raises:
        DataError: an array of a wrong shape or with wrong values, or no such form.
    """
    if form == "marginal":
        return class_forecasts(probabilities, labels)
    if form != "top-label":
        raise DataError(f"form is {form!r}; expected 'top-label' or 'marginal'.")
    confidence, correct = top_label(probabilities, labels)
    return [(confidence, correct.astype(np.float64))]


def bin_edges(confidence: FloatArray, n_bins: int, scheme: Scheme) -> FloatArray:
    """Edges `[B + 1]` of the bins of checked confidences `[N]`; see :func:`bin_confidences`.

    Raises:
        DataError: a wrong number of bins or scheme.
    """
    if int(n_bins) != n_bins or n_bins < 1:
        raise DataError(f"n_bins is {n_bins!r}; expected a whole number of at least 1.")
    if scheme == "width":
        return np.linspace(0.0, 1.0, int(n_bins) + 1)
    if scheme != "mass":
        raise DataError(f"scheme is {scheme!r}; expected 'width' or 'mass'.")
    values, ties = np.unique(confidence, return_counts=True)
    # Middle rank of each group of ties, in whole numbers so that no rounding moves a group.
    bins = int(n_bins) * (2 * np.cumsum(ties) - ties) // (2 * confidence.size)
    last = np.flatnonzero(np.diff(bins))  # the largest value of each bin but the final one
    return np.concatenate(([0.0], values[last], [1.0]))


def bin_index(confidence: FloatArray, edges: FloatArray) -> IntArray:
    """Bin `[N]` of each confidence; a value on an edge goes below it."""
    return np.searchsorted(edges[1:-1], confidence, side="left")


def binned_outcomes(
    confidence: FloatArray, edges: FloatArray, n_resamples: int, seed: int
) -> tuple[IntArray, IntArray, FloatArray]:
    """Draw outcomes from checked confidences and count the events of each filled bin.

    Returns:
        Which bins are filled, `[F]`, their points, `[F]`, and their events, `[n_resamples, F]`.
    """
    index = bin_index(confidence, edges)
    order = np.argsort(index, kind="stable")
    filled, first, count = np.unique(index[order], return_index=True, return_counts=True)
    events = [
        np.add.reduceat(block, first, axis=1, dtype=np.float64)
        for block in calibrated_outcomes(confidence[order], n_resamples, seed)
    ]
    return filled, count.astype(np.int64), np.concatenate(events)
