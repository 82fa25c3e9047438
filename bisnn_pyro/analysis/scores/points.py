"""Scores of predictions: of each point, and their means over points.

There is one definition of each score.  :func:`classification_points` and :func:`regression_points` give it
for every point; :func:`classification_metrics` and :func:`regression_metrics` are their means, together with
calibration errors, which belong to bins of points and are not means over points.

A committee of regressors predicts an equal-weight mixture of Gaussians: member s says ``y ~ Normal(means[s],
scale[s])``, and the predictive distribution is the average of those S densities, not the Gaussian with their
averaged moments.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.calibration.bins import N_BINS, reliability_bins
from bisnn_pyro.analysis.validation import FloatArray, as_labels, as_probabilities, as_real
from bisnn_pyro.analysis.votes import of_regressions, of_votes
from bisnn_pyro.errors import DataError

#: Coverage of the central interval behind ``coverage90`` and ``width90``.
COVERAGE = 0.90
#: Bisection halves the bracket to the spacing of float64 in about 60 steps; this bound is never reached.
MAX_BISECTIONS = 200


@of_votes
def classification_points(probabilities: ArrayLike, labels: ArrayLike) -> dict[str, FloatArray]:
    """Scores of each point of a classification.

    Args:
        probabilities: `[N, C]`.
        labels: `[N]` in 0..C-1.

    Returns:
        `[N]` each: ``accuracy`` (0 or 1; a tie goes to the lowest class index), ``nll`` (nats, infinite where
        the label has a probability of exactly 0) and ``brier``, the squared error summed over all C classes,
        in [0, 2] (Brier 1950); for two classes it is twice scikit-learn's ``brier_score_loss`` of the
        positive class.

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
        "nll": -log_p + 0.0,  # + 0.0 turns -0.0 into 0.0
        "brier": ((probs - one_hot) ** 2).sum(-1),
    }


@of_votes
def classification_metrics(
    probabilities: ArrayLike, labels: ArrayLike, n_bins: int = N_BINS
) -> dict[str, float]:
    """The scores that go into ``metrics.json``.

    Example:
        >>> probabilities, labels = [[0.9, 0.1], [0.4, 0.6], [0.7, 0.3]], [0, 1, 1]
        >>> {name: round(value, 3) for name, value in classification_metrics(probabilities, labels).items()}
        {'accuracy': 0.667, 'nll': 0.607, 'brier': 0.44, 'ece': 0.4, 'ece_mass': 0.4, 'mce': 0.7}

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
    means = {
        name: float(values.mean()) for name, values in classification_points(probabilities, labels).items()
    }
    width = reliability_bins(probabilities, labels, n_bins, "width")
    mass = reliability_bins(probabilities, labels, n_bins, "mass")
    return {**means, "ece": width.ece, "ece_mass": mass.ece, "mce": width.mce}


@of_votes
def accuracy(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Share of points whose most probable class is the label; see :func:`classification_points`."""
    return float(classification_points(probabilities, labels)["accuracy"].mean())


@of_votes
def negative_log_likelihood(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Mean of ``-log p(label)`` over points, in nats; see :func:`classification_points`.

    Nothing is clipped: a probability of exactly 0 at the true label gives infinity.
    """
    return float(classification_points(probabilities, labels)["nll"].mean())


@of_votes
def brier_score(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Mean squared error summed over classes, in [0, 2]; see :func:`classification_points`."""
    return float(classification_points(probabilities, labels)["brier"].mean())


@of_regressions
def regression_points(mean_draws: ArrayLike, scale: ArrayLike, y: ArrayLike) -> dict[str, FloatArray]:
    """Scores of each point of a committee of Gaussian regressors.

    Args:
        mean_draws: `[S, N]` predicted means, one row per member.
        scale: standard deviation of the noise: a number, `[S]` or `[S, N]`.
        y: `[N]` targets.

    Returns:
        `[N]` each: ``mse`` (squared error of the committee mean), ``nll`` (nats, of the mixture),
        ``coverage90`` (1 where the mixture's central 90 % interval holds the target, else 0) and ``width90``
        (the interval's width, units of y).

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
        "width90": high - low,
    }


@of_regressions
def regression_metrics(mean_draws: ArrayLike, scale: ArrayLike, y: ArrayLike) -> dict[str, float]:
    """Scores of a committee of Gaussian regressors that go into ``metrics.json``.

    Args:
        mean_draws: `[S, N]` predicted means, one row per member.
        scale: standard deviation of the noise: a number, `[S]` or `[S, N]`.
        y: `[N]` targets.

    Returns:
        ``rmse`` of the committee mean (units of y), and the means over points of ``nll`` (nats),
        ``coverage90`` and ``width90`` (units of y); see :func:`regression_points`.

    Raises:
        DataError: an array of a wrong shape or with wrong values.
    """
    means = {name: float(values.mean()) for name, values in regression_points(mean_draws, scale, y).items()}
    return {"rmse": float(np.sqrt(means.pop("mse"))), **means}


def as_mixture(mean_draws: ArrayLike, scale: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Check a committee's means and scales and give both the shape `[S, N]`.

    Args:
        mean_draws: `[S, N]` predicted means, in the units of y.
        scale: standard deviation of the noise, in the units of y: a number, `[S]` or `[S, N]`.

    Raises:
        DataError: a wrong shape, NaN or infinity, or a scale that is not positive.
    """
    means = as_real(mean_draws, "mean_draws", 2)
    scales = as_real(scale, "scale")
    if scales.shape not in ((), means.shape[:1], means.shape):
        raise DataError(
            f"scale has shape {scales.shape}; with mean_draws of shape {means.shape} expected (), "
            f"{means.shape[:1]} or {means.shape}."
        )
    if scales.min() <= 0:
        raise DataError(f"scale has the value {scales.min():g}; a standard deviation must be above 0.")
    if scales.ndim == 1:
        scales = scales[:, None]
    return means, np.broadcast_to(scales, means.shape)


def mixture_cdf(y: ArrayLike, mean_draws: ArrayLike, scale: ArrayLike) -> FloatArray:
    """Probability that the mixture falls at or below `y`.

    Args:
        y: `[N]`, or a number for all points.
        mean_draws: `[S, N]`.
        scale: a number, `[S]` or `[S, N]`.

    Returns:
        `[N]` in [0, 1].

    Raises:
        DataError: see :func:`as_mixture`.
    """
    means, scales = as_mixture(mean_draws, scale)
    return _cdf(_targets(y, means.shape[1]), means, scales)


def mixture_log_density(y: ArrayLike, mean_draws: ArrayLike, scale: ArrayLike) -> FloatArray:
    """Log density of the mixture at `y`, by log-sum-exp.

    Args:
        y: `[N]`, or a number for all points.
        mean_draws: `[S, N]`.
        scale: a number, `[S]` or `[S, N]`.

    Returns:
        `[N]`, in nats.

    Raises:
        DataError: see :func:`as_mixture`.
    """
    from scipy.special import logsumexp

    means, scales = as_mixture(mean_draws, scale)
    z = (_targets(y, means.shape[1]) - means) / scales
    log_normal = -0.5 * (z**2 + np.log(2 * np.pi)) - np.log(scales)
    return np.asarray(logsumexp(log_normal, axis=0) - np.log(len(means)))


def mixture_quantile(q: float, mean_draws: ArrayLike, scale: ArrayLike) -> FloatArray:
    """Quantile of the mixture at each point, by bisection on its distribution function.

    The bracket is exact: a quantile of a mixture lies between the smallest and the largest of its
    components' own quantiles.

    Args:
        q: probability, strictly between 0 and 1.
        mean_draws: `[S, N]`.
        scale: a number, `[S]` or `[S, N]`.

    Returns:
        `[N]`, in the units of y, right to the rounding of the distribution function.

    Raises:
        DataError: q outside (0, 1); see also :func:`as_mixture`.
    """
    from scipy.special import ndtri

    if not 0 < q < 1:
        raise DataError(f"q is {q!r}; expected a probability strictly between 0 and 1.")
    means, scales = as_mixture(mean_draws, scale)
    own = means + scales * ndtri(q)
    low, high = own.min(0), own.max(0)
    for _ in range(MAX_BISECTIONS):
        middle = low + (high - low) / 2
        if ((middle <= low) | (middle >= high)).all():
            break
        below = _cdf(middle, means, scales) < q
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return low + (high - low) / 2


def _cdf(y: FloatArray, means: FloatArray, scales: FloatArray) -> FloatArray:
    from scipy.special import ndtr

    return np.asarray(ndtr((y - means) / scales).mean(0))


def _targets(y: ArrayLike, n_points: int) -> FloatArray:
    target = as_real(y, "y")
    if target.shape not in ((), (n_points,)):
        raise DataError(f"y has shape {target.shape}; expected () or ({n_points},), as mean_draws has.")
    return target
