"""Random versions of a test set: its points drawn again, or its outcomes drawn from stated confidences."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.forecasts import as_confidence
from bisnn_pyro.analysis.validation import BoolArray, IntArray
from bisnn_pyro.errors import DataError

#: Numbers drawn at once (2^22 float64 = 32 MiB).
_MAX_DRAWN = 1 << 22


def resample_counts(groups: IntArray, n_groups: int, n_rows: int, rng: np.random.Generator) -> IntArray:
    """Draw points with replacement and count them by group; with a group a point it is a bootstrap.

    Args:
        groups: `[N]` group of each point, in 0..G-1.
        n_groups: G.
        n_rows: how many resamples; see :func:`blocks`.
        rng: the generator; it goes on from where it stands.

    Returns:
        `[n_rows, G]` how many of the N points drawn are of each group.
    """
    drawn = groups[rng.integers(len(groups), size=(n_rows, len(groups)))]
    drawn += n_groups * np.arange(n_rows)[:, None]
    return np.bincount(drawn.ravel(), minlength=n_rows * n_groups).reshape(n_rows, n_groups)


def calibrated_outcomes(confidence: ArrayLike, n_resamples: int, seed: int = 0) -> Iterator[BoolArray]:
    """Draw outcomes as if every confidence were right: a calibrated predictor's test sets.

    Args:
        confidence: `[N]` in [0, 1].
        n_resamples: R.
        seed: of the generator; the same seed gives the same outcomes.

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


def blocks(n_rows: int, n_columns: int) -> Iterator[int]:
    """Cut rows of so many numbers into blocks that fit into memory, and yield how many rows each has."""
    most = max(1, _MAX_DRAWN // n_columns)
    for done in range(0, n_rows, most):
        yield min(most, n_rows - done)


def check_resamples(n_resamples: int) -> None:
    """Refuse fewer than one resample.

    Raises:
        DataError: `n_resamples` is below 1.
    """
    if n_resamples < 1:
        raise DataError(f"n_resamples is {n_resamples}; expected at least 1.")
