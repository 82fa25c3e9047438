"""Scores of each test point, whose means are those of :mod:`bisnn_pyro.analysis.metrics`.

Calibration errors are not among them: they belong to bins of points, and are no mean over points.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.metrics import COVERAGE
from bisnn_pyro.analysis.mixture import as_mixture, mixture_log_density, mixture_quantile
from bisnn_pyro.analysis.validation import FloatArray, as_labels, as_probabilities, as_real
from bisnn_pyro.errors import DataError


def classification_points(probabilities: ArrayLike, labels: ArrayLike) -> dict[str, FloatArray]:
    """Scores of each point of a classification.

    Args:
        probabilities: `[N, C]`.
        labels: `[N]` in 0..C-1.

    Returns:
        `[N]` each: ``accuracy`` (0 or 1), ``nll`` (nats, may be infinite) and ``brier``.

    Raises:
        DataError: an array of a wrong shape or with wrong values.
    """
    probs = as_probabilities(probabilities)
    truth = as_labels(labels, *probs.shape)
    with np.errstate(divide="ignore"):
        log_p = np.log(probs[np.arange(len(truth)), truth])
    one_hot = np.eye(probs.shape[1])[truth]
    return {
        "accuracy": (probs.argmax(-1) == truth).astype(np.float64),
        "nll": -log_p,
        "brier": ((probs - one_hot) ** 2).sum(-1),
    }


def regression_points(mean_draws: ArrayLike, scale: ArrayLike, y: ArrayLike) -> dict[str, FloatArray]:
    """Scores of each point of a committee of Gaussian regressors.

    Args:
        mean_draws: `[S, N]` predicted means, one row a member.
        scale: standard deviation of the noise: a number, `[S]` or `[S, N]`.
        y: `[N]` targets.

    Returns:
        `[N]` each: ``mse`` (squared error of the committee mean), ``nll`` (nats, of the mixture) and
        ``coverage90`` (0 or 1).

    Raises:
        DataError: an array of a wrong shape or with wrong values.
    """
    means, scales = as_mixture(mean_draws, scale)
    target = as_real(y, "y", 1)
    if target.shape != means.shape[1:]:
        raise DataError(f"y has shape {target.shape}; mean_draws {means.shape} needs {means.shape[1:]}.")
    low, high = (mixture_quantile((1 + side * COVERAGE) / 2, means, scales) for side in (-1, 1))
    return {
        "mse": (means.mean(0) - target) ** 2,
        "nll": -mixture_log_density(target, means, scales),
        "coverage90": ((low <= target) & (target <= high)).astype(np.float64),
    }
