"""Checks on the arrays that come into the analysis, each with a message that names the array."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bisnn_pyro.errors import DataError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

#: How far a row of probabilities may sum from one: room for float32 soft-maxes, not for logits.
SUM_TOLERANCE = 1e-4


def as_real(values: ArrayLike, name: str, ndim: int | None = None, *, finite: bool = True) -> FloatArray:
    """Return `values` as float64 after checking its type, number of axes and finiteness.

    Args:
        values: any real array.
        name: what the message calls the array.
        ndim: the number of axes it must have; None takes any.
        finite: also refuse infinities (NaN is always refused).

    Raises:
        DataError: the array is empty, not numeric, of another rank, or holds NaN or an infinity.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise DataError(f"{name} has dtype {array.dtype}; give an array of real numbers.")
    if ndim is not None and array.ndim != ndim:
        raise DataError(f"{name} has shape {array.shape}; expected {ndim} axes.")
    if array.size == 0:
        raise DataError(f"{name} has shape {array.shape}; it must not be empty.")
    array = array.astype(np.float64)
    bad = ~np.isfinite(array) if finite else np.isnan(array)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        kinds = "NaN or infinity" if finite else "NaN"
        raise DataError(f"{name} (shape {array.shape}) holds {kinds}, first at index {where}.")
    return array


def as_probabilities(values: ArrayLike, name: str = "probabilities", ndim: int = 2) -> FloatArray:
    """Check class probabilities: the last axis is the class and sums to one.

    Args:
        values: shape `[N, C]` (or `[S, N, C]` with ``ndim=3``); binary tasks come with C = 2.
        name: what the message calls the array.
        ndim: the number of axes.

    Raises:
        DataError: wrong rank, fewer than two classes, NaN, values below 0 or above 1, or rows that do
            not sum to one within :data:`SUM_TOLERANCE`.
    """
    array = as_real(values, name, ndim)
    if array.shape[-1] < 2:
        raise DataError(f"{name} has shape {array.shape}; the last axis must hold at least 2 classes.")
    if array.min() < 0 or array.max() > 1 + SUM_TOLERANCE:
        raise DataError(
            f"{name} (shape {array.shape}) has values in [{array.min():g}, {array.max():g}]; "
            "expected probabilities in [0, 1]. Were logits given?"
        )
    worst = float(np.abs(array.sum(-1) - 1).max())
    if worst > SUM_TOLERANCE:
        raise DataError(
            f"{name} (shape {array.shape}) has rows that miss the sum 1 by up to {worst:.3g}; "
            f"expected at most {SUM_TOLERANCE:g} along the last axis."
        )
    return array


def as_labels(values: ArrayLike, n_points: int, n_classes: int, name: str = "labels") -> IntArray:
    """Check class labels: `[N]` whole numbers in 0..C-1.

    Raises:
        DataError: another shape, a label that is not a whole number, or one outside 0..C-1.
    """
    array = as_real(values, name, 1)
    if array.shape != (n_points,):
        raise DataError(f"{name} has shape {array.shape}; expected ({n_points},), one for each point.")
    if not np.array_equal(array, np.floor(array)) or array.min() < 0 or array.max() >= n_classes:
        raise DataError(
            f"{name} (shape {array.shape}) has values from {array.min():g} to {array.max():g}; "
            f"expected whole numbers from 0 to {n_classes - 1}."
        )
    return array.astype(np.int64)


def check_level(level: float) -> None:
    """Refuse a confidence or coverage level outside (0, 1).

    Raises:
        DataError: `level` is not strictly between 0 and 1.
    """
    if not 0 < level < 1:
        raise DataError(f"level is {level!r}; expected a number strictly between 0 and 1, such as 0.95.")


def as_confidence(values: ArrayLike, name: str = "confidence") -> FloatArray:
    """Check probabilities of an event: `[N]` in [0, 1].

    Raises:
        DataError: another shape, or a value outside [0, 1].
    """
    array = as_real(values, name, 1)
    if array.min() < 0 or array.max() > 1:
        raise DataError(f"{name} has values in [{array.min():g}, {array.max():g}]; expected [0, 1].")
    return array


def as_forecasts(confidence: ArrayLike, correct: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Check pairs of probability and outcome: `[N]` in [0, 1] and `[N]` booleans or 0/1.

    Raises:
        DataError: shapes that differ, or a wrong value.
    """
    conf, hits = as_confidence(confidence), as_real(correct, "correct", 1)
    if conf.shape != hits.shape:
        raise DataError(f"confidence has shape {conf.shape} but correct has {hits.shape}; they must agree.")
    if not np.isin(hits, (0.0, 1.0)).all():
        raise DataError("correct holds values other than 0 and 1.")
    return conf, hits
