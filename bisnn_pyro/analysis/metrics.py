"""Scores of a predictor on test points; probabilities in, float64 numbers out."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.calibration import reliability_bins
from bisnn_pyro.analysis.mixture import as_mixture, mixture_log_density, mixture_quantile
from bisnn_pyro.analysis.validation import as_labels, as_probabilities, as_real
from bisnn_pyro.errors import DataError

COVERAGE = 0.90


def accuracy(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Share of points whose most probable class is the label; a tie goes to the lowest class index.

    Args:
        probabilities: `[N, C]`.
        labels: `[N]` in 0..C-1.

    Raises:
        DataError: an array of a wrong shape or with wrong values.
    """
    probs = as_probabilities(probabilities)
    return float((probs.argmax(-1) == as_labels(labels, *probs.shape)).mean())


def negative_log_likelihood(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Mean of ``-log p(label)`` over points, in nats.

    Nothing is clipped: a probability of exactly 0 at the true label gives infinity.

    Args:
        probabilities: `[N, C]`.
        labels: `[N]` in 0..C-1.

    Raises:
        DataError: an array of a wrong shape or with wrong values.
    """
    probs = as_probabilities(probabilities)
    truth = as_labels(labels, *probs.shape)
    with np.errstate(divide="ignore"):
        log_p = np.log(probs[np.arange(len(truth)), truth])
    return float(-log_p.mean()) + 0.0  # + 0.0 turns -0.0 into 0.0


def brier_score(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Mean over points of the squared error summed over all C classes (Brier 1950), in [0, 2].

    For two classes this is twice scikit-learn's ``brier_score_loss`` of the positive class.

    Args:
        probabilities: `[N, C]`.
        labels: `[N]` in 0..C-1.

    Raises:
        DataError: an array of a wrong shape or with wrong values.
    """
    probs = as_probabilities(probabilities)
    truth = as_labels(labels, *probs.shape)
    one_hot = np.eye(probs.shape[1])[truth]
    return float(((probs - one_hot) ** 2).sum(-1).mean())


def classification_metrics(probabilities: ArrayLike, labels: ArrayLike, n_bins: int = 15) -> dict[str, float]:
    """The scores that go into ``metrics.json``.

    Args:
        probabilities: `[N, C]`, binary tasks with C = 2.
        labels: `[N]` in 0..C-1.
        n_bins: bins of the calibration errors.

    Returns:
        ``accuracy``, ``nll`` (nats, may be infinite), ``brier``, ``ece`` and ``mce`` (equal width) and
        ``ece_mass`` (equal mass).

    Raises:
        DataError: an array of a wrong shape or with wrong values.
    """
    width = reliability_bins(probabilities, labels, n_bins, "width")
    return {
        "accuracy": accuracy(probabilities, labels),
        "nll": negative_log_likelihood(probabilities, labels),
        "brier": brier_score(probabilities, labels),
        "ece": width.ece,
        "ece_mass": reliability_bins(probabilities, labels, n_bins, "mass").ece,
        "mce": width.mce,
    }


def regression_metrics(mean_draws: ArrayLike, scale: ArrayLike, y: ArrayLike) -> dict[str, float]:
    """Scores of a committee of Gaussian regressors.

    Args:
        mean_draws: `[S, N]` predicted means, one row a member.
        scale: standard deviation of the noise: a number, `[S]` or `[S, N]`.
        y: `[N]` targets.

    Returns:
        ``rmse`` of the committee mean (units of y), ``nll`` (nats per point, of the equal-weight mixture
        of the members' Gaussians), ``coverage90`` (share of targets inside the mixture's central 90 %
        interval) and ``width90`` (mean width of that interval, units of y).

    Raises:
        DataError: an array of a wrong shape or with wrong values.
    """
    means, scales = as_mixture(mean_draws, scale)
    target = as_real(y, "y", 1)
    if target.shape != means.shape[1:]:
        raise DataError(f"y has shape {target.shape}; mean_draws {means.shape} needs {means.shape[1:]}.")
    low = mixture_quantile((1 - COVERAGE) / 2, means, scales)
    high = mixture_quantile((1 + COVERAGE) / 2, means, scales)
    return {
        "rmse": float(np.sqrt(((means.mean(0) - target) ** 2).mean())),
        "nll": float(-mixture_log_density(target, means, scales).mean()),
        "coverage90": float(((low <= target) & (target <= high)).mean()),
        "width90": float((high - low).mean()),
    }
