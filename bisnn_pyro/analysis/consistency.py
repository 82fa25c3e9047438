"""Consistency bands: how far a reliability diagram strays from the diagonal by chance alone.

Outcomes are drawn from the stated confidences, which makes the predictor calibrated, and the diagram is
made anew from each draw (Broecker and Smith 2007, "Increasing the reliability of reliability diagrams").
They redraw the forecasts as well; here they are kept, so that the bins and the counts are those of the
diagram itself.  Bands are pointwise: of 20 calibrated bins one leaves a 95 % band.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.calibration import Scheme, bin_edges, bin_index
from bisnn_pyro.analysis.forecasts import as_confidence
from bisnn_pyro.analysis.isotonic import pool_violators
from bisnn_pyro.analysis.resampling import calibrated_outcomes
from bisnn_pyro.analysis.validation import FloatArray, IntArray, check_level


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
        One bar a bin, at the bin's mean confidence.

    Raises:
        DataError: a wrong shape, value, number of bins or scheme, or `level` outside (0, 1).
    """
    check_level(level)
    conf = as_confidence(confidence)
    edges = bin_edges(conf, n_bins, scheme)
    mean, lower, upper = np.full((3, len(edges) - 1), np.nan)
    filled, count, events = binned_outcomes(conf, edges, n_resamples, seed)
    mean[filled] = np.bincount(bin_index(conf, edges), weights=conf)[filled] / count
    lower[filled], upper[filled] = _central(events / count, level)
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
    lower, upper = _central(np.array(curves), level)
    return ConsistencyBand(values[shown], lower, upper, level)


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


def _central(values: FloatArray, level: float) -> FloatArray:
    """Ends `[2, M]` of the central interval of each column of `[R, M]`."""
    return np.quantile(values, [0.5 - level / 2, 0.5 + level / 2], axis=0)
