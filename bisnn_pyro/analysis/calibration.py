"""Calibration of the top-label confidence: reliability bins, ECE and MCE.

Conventions, the same everywhere in the package:

* The confidence is the probability of the predicted (top) class; ties go to the lowest class index.
* Bins are half open on the left, ``(lo, hi]``, as in Guo et al. (2017, "On calibration of modern
  neural networks"); the first is closed, ``[0, hi]``, so that every value in [0, 1] has exactly one
  bin.  (torchmetrics bins ``[lo, hi)``; the two differ only for a confidence exactly on an inner edge,
  and at 1.0, for which torchmetrics 1.9 opens a bin of its own.)
* Equal-mass bins never split points of equal confidence: a group of ties goes, whole, to the bin in
  which its middle rank falls, and bins that stay empty are dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.forecasts import as_forecasts, top_label
from bisnn_pyro.analysis.validation import FloatArray, IntArray, check_level
from bisnn_pyro.errors import DataError

Scheme = Literal["width", "mass"]


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


def wilson_interval(
    successes: ArrayLike, trials: ArrayLike, level: float = 0.95
) -> tuple[FloatArray, FloatArray]:
    """Wilson's score interval for a share, without continuity correction (Wilson 1927).

    Args:
        successes: any shape, whole numbers.
        trials: the same shape; 0 gives NaN.
        level: coverage.

    Returns:
        Lower and upper ends, of the shape of the input.

    Raises:
        DataError: `level` outside (0, 1).
    """
    from scipy.special import ndtri

    check_level(level)
    n = np.asarray(trials, dtype=np.float64)
    k = np.asarray(successes, dtype=np.float64)
    n = np.where(n > 0, n, np.nan)
    z2 = ndtri(0.5 + level / 2) ** 2
    centre = (k + z2 / 2) / (n + z2)
    half = np.sqrt(z2 * (k * (n - k) / n + z2 / 4)) / (n + z2)
    # Exactly 0 and 1 at the ends, where the formula leaves a rounding error.
    lower = np.where(k == 0, 0.0 * n, centre - half)
    upper = np.where(k == n, 1.0 + 0.0 * n, centre + half)
    return lower, upper


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


def expected_calibration_error(
    probabilities: ArrayLike, labels: ArrayLike, n_bins: int = 15, scheme: Scheme = "width"
) -> float:
    """ECE of the top label (Naeini et al. 2015; Guo et al. 2017), in [0, 1]; see :func:`reliability_bins`."""
    return reliability_bins(probabilities, labels, n_bins, scheme).ece


def maximum_calibration_error(
    probabilities: ArrayLike, labels: ArrayLike, n_bins: int = 15, scheme: Scheme = "width"
) -> float:
    """MCE of the top label: the largest gap of a filled bin, in [0, 1]; see :func:`reliability_bins`."""
    return reliability_bins(probabilities, labels, n_bins, scheme).mce
