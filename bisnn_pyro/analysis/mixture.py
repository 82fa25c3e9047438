"""The equal-weight Gaussian mixture that a committee of regressors predicts.

Draw s of the committee says ``y ~ Normal(means[s], scale[s])``; the committee's predictive
distribution is the average of those S densities, not the Gaussian with their averaged moments.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.validation import FloatArray, as_real
from bisnn_pyro.errors import DataError

#: Bisection halves the bracket to the spacing of float64 in about 60 steps; this is a stop, not a setting.
MAX_BISECTIONS = 200


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
