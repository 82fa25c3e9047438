"""Intervals: Student t over training seeds or folds, bootstrap over test points, Wilson's for a share.

The two kinds of mean interval answer different questions.  Over training seeds (:func:`mean_interval`,
:func:`paired_difference`) the interval tells what another training run would do; over test points
(:func:`paired_bootstrap`) it tells what other test points would show about the same networks.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.validation import (
    BoolArray,
    FloatArray,
    IntArray,
    as_confidence,
    as_real,
    check_level,
)
from bisnn_pyro.errors import DataError

Name = TypeVar("Name", bound=Hashable)

#: Numbers drawn at once (2^22 float64 or int64 = 32 MiB).
MAX_RESAMPLES = 1_000_000
"""Bootstrap draws beyond which there is nothing to learn, and much to hold."""
_MAX_DRAWN = 1 << 22


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


def format_interval(mean: float, half_width: float, n: int | None = None, digits: int = 3) -> str:
    """Print a mean with its interval, such as ``0.982 ± 0.003 (n=5)``.

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


def mean_interval(values: ArrayLike, level: float = 0.95) -> MeanInterval:
    """Student t interval of a mean, for independent values such as the scores of training seeds.

    Example:
        >>> print(mean_interval([0.91, 0.93, 0.92]))
        0.920 ± 0.025 (n=3)

    Args:
        values: `[n]`; infinities are accepted (an NLL may be infinite) and give no interval.
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
    with np.errstate(invalid="ignore"):  # inf and -inf together have no mean either
        mean = float(array.mean())
    half = math.nan
    if n > 1 and np.isfinite(array).all():
        half = float(stdtrit(n - 1, 0.5 + level / 2) * array.std(ddof=1) / math.sqrt(n))
    return MeanInterval(mean, half, mean - half, mean + half, n, level)


def paired_difference(a: ArrayLike, b: ArrayLike, level: float = 0.95) -> MeanInterval:
    """Student t interval of the mean of ``a - b``, paired by training seed or fold.

    Example:
        >>> print(paired_difference([0.31, 0.35, 0.33], [0.30, 0.33, 0.30]))
        0.020 ± 0.025 (n=3)

    Args:
        a: `[n]` scores of one method.
        b: `[n]` scores of the other, of the same seeds in the same order.
        level: coverage.

    Raises:
        DataError: shapes that differ, NaN or infinity, or `level` outside (0, 1).
    """
    first, second = as_real(a, "a", 1), as_real(b, "b", 1)
    if first.shape != second.shape:
        raise DataError(f"a has shape {first.shape} but b has {second.shape}; pairs need equal lengths.")
    return mean_interval(first - second, level)


def paired_bootstrap(
    scores: Mapping[Name, ArrayLike],
    reference: Name,
    *,
    root: bool = False,
    level: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
) -> dict[Name, MeanInterval]:
    """Percentile bootstrap of the difference between the reference's mean score and each other one.

    The bootstrap is that of Efron and Tibshirani (1993).  Test points are drawn with replacement, the same
    ones for every predictor and seed; a predictor's score is the mean over its seeds of the mean over the
    points drawn.

    *Assumes* independent test points.  *Says nothing* about training: the networks are held fixed, so that a
    difference clear of zero may still change sign with other seeds; the interval over seeds tells.  *Fails*
    for scores that are not means over points: a calibration error is biased upwards by about the noise of its
    bins, a resample adds that noise once more, and the interval misses the estimate.  Give no such score.

    Example:
        >>> nll = {"bayes": [[0.2, 0.4, 0.3, 0.1]], "mode": [[0.5, 0.6, 0.5, 0.6]]}
        >>> found = paired_bootstrap(nll, "bayes")["mode"]
        >>> round(found.mean, 3), found.low < found.mean < found.high
        (-0.3, True)

    Args:
        scores: predictor -> `[K, N]`, a score of each point for each of its K seeds (K may differ).
        reference: the predictor that the others are compared with.
        root: take the root of each mean over points (squared errors become an RMSE).
        level: coverage.
        n_resamples: the number of bootstrap draws.
        seed: seed of the generator; the same seed gives the same intervals.

    Returns:
        Other predictor -> the mean difference, the percentile interval and half its length, n = N; without an
        interval (NaN) where a score is infinite.

    Raises:
        DataError: different numbers of points, NaN, no such reference, or `level` outside (0, 1).
    """
    check_level(level)
    check_resamples(n_resamples)
    arrays = {name: as_real(v, f"the scores of {name}", 2, finite=False) for name, v in scores.items()}
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
    drawn = _resampled_scores(finite, root, n_resamples, seed)
    found = {}
    for name in arrays:
        if name == reference:
            continue
        mean = means[reference] - means[name]
        if name in drawn and reference in drawn:
            found[name] = percentile_interval(mean, drawn[reference] - drawn[name], n_points, level)
        else:
            found[name] = MeanInterval(mean, math.nan, math.nan, math.nan, n_points, level)
    return found


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


def percentile_interval(mean: float, drawn: FloatArray, n: int, level: float) -> MeanInterval:
    """Return an estimate with the central interval of what `[R]` resamples gave in its place."""
    low, high = map(float, central(drawn, level))
    return MeanInterval(mean, (high - low) / 2, low, high, n, level)


def central(drawn: FloatArray, level: float) -> FloatArray:
    """Ends `[2, ...]` of the central interval of R draws `[R, ...]`."""
    return np.quantile(drawn, [0.5 - level / 2, 0.5 + level / 2], axis=0)


def calibrated_outcomes(confidence: ArrayLike, n_resamples: int, seed: int = 0) -> Iterator[BoolArray]:
    """Draw outcomes as if every confidence were right: the test sets of a calibrated predictor.

    Args:
        confidence: `[N]` in [0, 1].
        n_resamples: R.
        seed: seed of the generator; the same seed gives the same outcomes.

    Yields:
        Blocks `[rows, N]`, true where the event came true; R rows in all.

    Raises:
        DataError: a confidence outside [0, 1], or fewer than one resample.
    """
    conf = as_confidence(confidence)
    check_resamples(n_resamples)
    rng = np.random.default_rng(seed)
    for n in blocks(n_resamples, len(conf)):
        yield rng.random((n, len(conf))) < conf


def resample_counts(groups: IntArray, n_groups: int, n_rows: int, rng: np.random.Generator) -> IntArray:
    """Draw points with replacement and count them by group; with one group per point it is a bootstrap.

    Args:
        groups: `[N]` group of each point, in 0..G-1.
        n_groups: G.
        n_rows: how many resamples; see :func:`blocks`.
        rng: the generator; its state advances.

    Returns:
        `[n_rows, G]` how many of the N points drawn are in each group.
    """
    drawn = groups[rng.integers(len(groups), size=(n_rows, len(groups)))]
    drawn += n_groups * np.arange(n_rows)[:, None]
    return np.bincount(drawn.ravel(), minlength=n_rows * n_groups).reshape(n_rows, n_groups)


def blocks(n_rows: int, n_columns: int) -> Iterator[int]:
    """Cut so many rows of numbers into blocks that fit into memory, and yield how many rows each has."""
    most = max(1, _MAX_DRAWN // n_columns)
    for done in range(0, n_rows, most):
        yield min(most, n_rows - done)


def check_resamples(n_resamples: int) -> None:
    """Refuse fewer than one resample.

    Raises:
        DataError: `n_resamples` is below 1.
    """
    if not 1 <= n_resamples <= MAX_RESAMPLES:
        raise DataError(f"n_resamples is {n_resamples}; expected 1 to {MAX_RESAMPLES}.")


def _resampled_scores(
    arrays: Mapping[Name, FloatArray], root: bool, n_resamples: int, seed: int
) -> dict[Name, FloatArray]:
    """Return each predictor's score `[R]` in every resample."""
    if not arrays:
        return {}
    columns = np.concatenate(list(arrays.values())).T  # [N, all seeds of all predictors]
    n, rng = len(columns), np.random.default_rng(seed)
    # As counts of points a resample is one row of a matrix product, for all columns at once.
    counts = (resample_counts(np.arange(n), n, rows, rng) for rows in blocks(n_resamples, n))
    scored = _scored(np.concatenate([block.astype(np.float64) @ columns / n for block in counts]), root)
    ends = np.cumsum([len(array) for array in arrays.values()])[:-1]
    parts = np.split(scored, ends, axis=1)
    return {name: part.mean(1) for name, part in zip(arrays, parts, strict=True)}


def _scored(means: FloatArray, root: bool) -> FloatArray:
    return np.sqrt(means) if root else means
