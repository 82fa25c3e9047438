"""Intervals of means: Student t over training seeds, bootstrap over test points."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.validation import FloatArray, as_real, check_level
from bisnn_pyro.errors import DataError

#: Bootstrap indices held at once (2^22 int64 = 32 MiB).
_MAX_INDICES = 1 << 22


@dataclass(frozen=True)
class MeanInterval:
    """A mean with its interval.

    Attributes:
        mean: the mean.
        half_width: half the interval's length; NaN where no interval can be given (n = 1).
        low: lower end.
        high: upper end.
        n: the number of values behind the mean.
        level: coverage.
    """

    mean: float
    half_width: float
    low: float
    high: float
    n: int
    level: float

    def __str__(self) -> str:
        return format_interval(self.mean, self.half_width, self.n)


def mean_interval(values: ArrayLike, level: float = 0.95) -> MeanInterval:
    """Student t interval of a mean, for values that are independent (training seeds).

    Args:
        values: `[n]`; infinities are let through (an NLL may be infinite) and give no interval.
        level: coverage.

    Returns:
        The interval; its half-width is NaN for n = 1 or a mean that is not finite.

    Raises:
        DataError: a wrong shape, NaN, or `level` outside (0, 1).
    """
    from scipy.special import stdtrit

    check_level(level)
    array = as_real(values, "values", 1, finite=False)
    n = array.size
    if not np.isfinite(array).all():
        with np.errstate(invalid="ignore"):  # inf and -inf together have no mean either
            mean = float(array.mean())
        return MeanInterval(mean, math.nan, math.nan, math.nan, n, level)
    mean = float(array.mean())
    half = math.nan
    if n > 1:
        half = float(stdtrit(n - 1, 0.5 + level / 2) * array.std(ddof=1) / math.sqrt(n))
    return MeanInterval(mean, half, mean - half, mean + half, n, level)


def paired_difference(a: ArrayLike, b: ArrayLike, level: float = 0.95) -> MeanInterval:
    """Student t interval of the mean of ``a - b``, value by value (the same seeds in the same order).

    Args:
        a: `[n]`.
        b: `[n]`.
        level: coverage.

    Raises:
        DataError: shapes that differ, NaN or infinity, or `level` outside (0, 1).
    """
    return mean_interval(_differences(a, b), level)


def bootstrap_interval(
    a: ArrayLike, b: ArrayLike, level: float = 0.95, *, n_resamples: int = 2000, seed: int = 0
) -> MeanInterval:
    """Percentile bootstrap of the mean of ``a - b`` over test points (Efron and Tibshirani 1993).

    It speaks of the test points only, with both trained predictors held fixed.

    Args:
        a: `[N]` a score of each test point under one predictor.
        b: `[N]` the same points under the other.
        level: coverage.
        n_resamples: the number of bootstrap draws.
        seed: of the generator; the same seed gives the same interval.

    Returns:
        The mean difference, the percentile interval and half its length.

    Raises:
        DataError: shapes that differ, NaN or infinity, or `level` outside (0, 1).
    """
    check_level(level)
    diff = _differences(a, b)
    if n_resamples < 1:
        raise DataError(f"n_resamples is {n_resamples}; expected at least 1.")
    rng = np.random.default_rng(seed)
    rows = max(1, _MAX_INDICES // diff.size)
    means = [
        diff[rng.integers(diff.size, size=(min(rows, n_resamples - done), diff.size))].mean(-1)
        for done in range(0, n_resamples, rows)
    ]
    low, high = np.quantile(np.concatenate(means), [0.5 - level / 2, 0.5 + level / 2])
    return MeanInterval(float(diff.mean()), float(high - low) / 2, float(low), float(high), diff.size, level)


def format_interval(mean: float, half_width: float, n: int | None = None, digits: int = 3) -> str:
    """A mean for print, such as ``0.982 ± 0.003 (n=5)``.

    Args:
        mean: the mean.
        half_width: half the interval; left out where NaN.
        n: the number of values; left out where None.
        digits: places after the point.
    """
    text = f"{mean:.{digits}f}"
    if not math.isnan(half_width):
        text += f" ± {half_width:.{digits}f}"
    return text if n is None else f"{text} (n={n})"


def _differences(a: ArrayLike, b: ArrayLike) -> FloatArray:
    first, second = as_real(a, "a", 1), as_real(b, "b", 1)
    if first.shape != second.shape:
        raise DataError(f"a has shape {first.shape} but b has {second.shape}; pairs need equal lengths.")
    return first - second
