"""Calibration curves without bins, and bands that say how far chance alone moves a diagram.

The curve is monotone: isotonic regression of outcomes on confidences, the one of a CORP diagram (Dimitriadis,
Gneiting and Jordan 2021, "Stable reliability diagrams for probabilistic classifiers").

For a consistency band outcomes are drawn from the stated confidences, which makes the predictor calibrated,
and the diagram is made again from each draw (Broecker and Smith 2007, "Increasing the reliability of
reliability diagrams"). They redraw the forecasts as well; here the forecasts are kept, so that the bins and
the counts are those of the diagram itself.  Bands are pointwise: of 20 calibrated bins one leaves a 95 %
band.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.calibration.bins import Scheme, bin_edges, bin_index, binned_outcomes
from bisnn_pyro.analysis.intervals import calibrated_outcomes, central
from bisnn_pyro.analysis.validation import FloatArray, IntArray, as_confidence, as_forecasts, check_level


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


@dataclass(frozen=True)
class ConsistencyBand:
    """Where a calibrated predictor's diagram would lie, at M confidences.

    Attributes:
        confidence: `[M]` ascending; NaN for an empty bin.
        lower: `[M]` lower end of the central interval of the share of events; NaN for an empty bin.
        upper: `[M]` upper end.
        level: the share of calibrated diagrams inside, at each confidence alone.
    """

    confidence: FloatArray
    lower: FloatArray
    upper: FloatArray
    level: float


def bin_consistency(
    confidence: ArrayLike,
    n_bins: int = 15,
    scheme: Scheme = "width",
    level: float = 0.95,
    *,
    n_resamples: int = 1000,
    seed: int = 0,
) -> ConsistencyBand:
    """Consistency bars of a binned reliability diagram, on the bins of ``bin_confidences``.

    Args:
        confidence: `[N]` in [0, 1].
        n_bins: the number of bins.
        scheme: ``"width"`` or ``"mass"``.
        level: share of calibrated diagrams inside.
        n_resamples: draws of the outcomes.
        seed: of the generator; the same seed gives the same band.

    Returns:
        One bar per bin, at the bin's mean confidence.

    Raises:
        DataError: a wrong shape, value, number of bins or scheme, or `level` outside (0, 1).
    """
    check_level(level)
    conf = as_confidence(confidence)
    edges = bin_edges(conf, n_bins, scheme)
    mean, lower, upper = np.full((3, len(edges) - 1), np.nan)
    filled, count, events = binned_outcomes(conf, edges, n_resamples, seed)
    mean[filled] = np.bincount(bin_index(conf, edges), weights=conf)[filled] / count
    lower[filled], upper[filled] = central(events / count, level)
    return ConsistencyBand(mean, lower, upper, level)


def isotonic_consistency(
    confidence: ArrayLike,
    level: float = 0.95,
    *,
    n_points: int = 200,
    n_resamples: int = 1000,
    seed: int = 0,
) -> ConsistencyBand:
    """Consistency band of the isotonic calibration curve (the CORP diagram's).

    Args:
        confidence: `[N]` in [0, 1].
        level: share of calibrated curves inside.
        n_points: the most confidences at which the band is given; of more, evenly spaced ranks are taken,
            the lowest and the highest among them.
        n_resamples: draws of the outcomes.
        seed: of the generator; the same seed gives the same band.

    Raises:
        DataError: a wrong shape or value, or `level` outside (0, 1).
    """
    check_level(level)
    conf = np.sort(as_confidence(confidence))
    values, first, count = np.unique(conf, return_index=True, return_counts=True)
    weights = count.astype(np.float64)
    shown = np.unique(np.linspace(0, len(values) - 1, max(n_points, 2)).astype(np.int64))
    curves = [
        pool_violators(events, weights)[shown]
        for block in calibrated_outcomes(conf, n_resamples, seed)
        for events in np.add.reduceat(block, first, axis=1, dtype=np.float64)
    ]
    lower, upper = central(np.array(curves), level)
    return ConsistencyBand(values[shown], lower, upper, level)


def pool_violators(events: FloatArray, count: FloatArray) -> FloatArray:
    """Share of events in G ordered groups, `[G]`, made monotone by least squares."""
    from scipy.optimize import isotonic_regression

    return np.clip(isotonic_regression(events / count, weights=count).x, 0.0, 1.0)
