"""Differences between predictors on the same test points, with bootstrap intervals over these points."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.intervals import MeanInterval
from bisnn_pyro.analysis.validation import FloatArray, as_real, check_level
from bisnn_pyro.errors import DataError

Name = TypeVar("Name", bound=Hashable)

#: Bootstrap indices held at once (2^22 int64 = 32 MiB).
_MAX_INDICES = 1 << 22


def paired_bootstrap(
    scores: Mapping[Name, ArrayLike],
    reference: Name,
    *,
    root: bool = False,
    level: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
) -> dict[Name, MeanInterval]:
    """Percentile bootstrap of the reference's mean score less each other's (Efron and Tibshirani 1993).

    Test points are drawn with replacement, the same ones for every predictor and seed; a predictor's score
    is the mean over its seeds of the mean over the points drawn.

    *Assumes* independent test points.  *Says nothing* of training: the networks are held fixed, so that a
    difference clear of zero may yet turn with other seeds; the interval over seeds tells.  *Fails* for
    what is no mean of points: a calibration error is biased upwards by about the noise of its bins, a
    resample adds that noise once more, and the interval lies beside the estimate.  Give no such score.

    Args:
        scores: predictor -> `[K, N]`, a score of each point for each of its K seeds (K may differ).
        reference: the predictor that the others are taken from.
        root: take the root of each mean over points (squared errors become an RMSE).
        level: coverage.
        n_resamples: the number of bootstrap draws.
        seed: of the generator; the same seed gives the same intervals.

    Returns:
        Other predictor -> the mean difference, the percentile interval and half its length, n = N; without
        an interval (NaN) where a score is infinite.

    Raises:
        DataError: another number of points, NaN, no such reference, or `level` outside (0, 1).
    """
    check_level(level)
    if n_resamples < 1:
        raise DataError(f"n_resamples is {n_resamples}; expected at least 1.")
    arrays = {
        name: as_real(values, f"the scores of {name}", 2, finite=False) for name, values in scores.items()
    }
    if reference not in arrays:
        raise DataError(f"reference is {reference!r}; the scores are of {', '.join(map(str, arrays))}.")
    n_points = arrays[reference].shape[1]
    for name, array in arrays.items():
        if array.shape[1] != n_points:
            raise DataError(
                f"{name} has {array.shape[1]} points but {reference} has {n_points}; pairs need the same."
            )
    finite = {name: array for name, array in arrays.items() if np.isfinite(array).all()}
    means = {name: float(_scored(array.mean(1), root).mean()) for name, array in arrays.items()}
    resampled = _resampled_scores(finite, root, n_resamples, seed)
    return {
        name: _interval(means[reference] - means[name], resampled, reference, name, n_points, level)
        for name in arrays
        if name != reference
    }


def _interval(
    mean: float,
    resampled: Mapping[Name, FloatArray],
    reference: Name,
    name: Name,
    n_points: int,
    level: float,
) -> MeanInterval:
    if name not in resampled or reference not in resampled:
        return MeanInterval(mean, math.nan, math.nan, math.nan, n_points, level)
    difference = resampled[reference] - resampled[name]
    low, high = map(float, np.quantile(difference, [0.5 - level / 2, 0.5 + level / 2]))
    return MeanInterval(mean, (high - low) / 2, low, high, n_points, level)


def _resampled_scores(
    arrays: Mapping[Name, FloatArray], root: bool, n_resamples: int, seed: int
) -> dict[Name, FloatArray]:
    """Return each predictor's score `[R]` in every resample."""
    if not arrays:
        return {}
    columns = np.concatenate(list(arrays.values())).T  # [N, all seeds of all predictors]
    n_points = len(columns)
    # As counts of points a resample is one row of a matrix product, for all columns at once.
    means = [counts @ columns / n_points for counts in _resamples(n_points, n_resamples, seed)]
    scored = _scored(np.concatenate(means), root)
    ends = np.cumsum([len(array) for array in arrays.values()])[:-1]
    parts = np.split(scored, ends, axis=1)
    return {name: part.mean(1) for name, part in zip(arrays, parts, strict=True)}


def _resamples(n_points: int, n_resamples: int, seed: int) -> Iterator[FloatArray]:
    """Yield blocks of how often each point is in a resample, `[rows, N]`."""
    rng = np.random.default_rng(seed)
    rows = max(1, _MAX_INDICES // n_points)
    for done in range(0, n_resamples, rows):
        n = min(rows, n_resamples - done)
        drawn = rng.integers(n_points, size=(n, n_points)) + n_points * np.arange(n)[:, None]
        yield np.bincount(drawn.ravel(), minlength=n * n_points).reshape(n, n_points).astype(np.float64)


def _scored(means: FloatArray, root: bool) -> FloatArray:
    return np.sqrt(means) if root else means
