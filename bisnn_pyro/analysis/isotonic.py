"""The calibration curve that is monotone: isotonic regression of outcomes on confidences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.forecasts import as_forecasts
from bisnn_pyro.analysis.validation import FloatArray, IntArray


@dataclass(frozen=True)
class IsotonicCurve:
    """A monotone calibration curve at the M distinct confidences, ascending.

    Attributes:
        confidence: `[M]` distinct confidences.
        calibrated: `[M]` share of events that the curve gives them, never falling.
        count: `[M]` points of that confidence.
        events: `[M]` points of that confidence whose event came true.
    """

    confidence: FloatArray
    calibrated: FloatArray
    count: IntArray
    events: FloatArray


def isotonic_curve(confidence: ArrayLike, correct: ArrayLike) -> IsotonicCurve:
    """Calibration curve by pool-adjacent-violators, the one of a CORP diagram.

    Points of equal confidence are pooled first (Dimitriadis, Gneiting and Jordan 2021, "Stable reliability
    diagrams for probabilistic classifiers"), so that their order does not matter.  For a classifier give
    ``*top_label(probabilities, labels)``.

    *Assumes* that the share of events rises with the confidence.  *Fails* at both ends, where it has few
    points and reaches for 0 and 1.  One notices by a consistency band that is wide there
    (``isotonic_consistency``).

    Args:
        confidence: `[N]` in [0, 1].
        correct: `[N]` booleans or 0/1, whether the event came true.

    Raises:
        DataError: shapes that differ, or a wrong value.
    """
    conf, hits = as_forecasts(confidence, correct)
    values, group, count = np.unique(conf, return_inverse=True, return_counts=True)
    events = np.bincount(group, weights=hits).astype(np.float64)
    calibrated = pool_violators(events, count.astype(np.float64))
    return IsotonicCurve(values, calibrated, count.astype(np.int64), events)


def pool_violators(events: FloatArray, count: FloatArray) -> FloatArray:
    """Share of events in G ordered groups, `[G]`, made monotone by least squares."""
    from scipy.optimize import isotonic_regression

    return np.clip(isotonic_regression(events / count, weights=count).x, 0.0, 1.0)
