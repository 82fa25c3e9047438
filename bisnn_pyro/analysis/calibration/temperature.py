r"""Temperature scaling: one number that repairs a classifier's confidence (Guo et al. 2017).

:math:`p_T(c) \propto p(c)^{1/T}`, which is the soft-max of the log-probabilities divided by T.  T > 1 makes
a predictor less sure, T < 1 more so, and the order of the classes, hence the accuracy, stays.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.validation import FloatArray, as_labels, as_probabilities
from bisnn_pyro.analysis.votes import of_votes
from bisnn_pyro.errors import DataError

#: The lowest and the highest temperature that :func:`fit_temperature` returns.
LIMITS = (0.05, 20.0)


def scale_temperature(probabilities: ArrayLike, temperature: float) -> FloatArray:
    """Return the probabilities at a temperature, rows summing to one.

    A committee's mean vote is scaled as it stands, through its own log-probabilities: not its members one
    by one, and not their logits.

    Example:
        >>> scale_temperature([[0.9, 0.1]], 2.0).round(3).tolist()
        [[0.75, 0.25]]

    Args:
        probabilities: `[N, C]`; a zero is read as one that underflowed, the smallest normal float64.
        temperature: T > 0; 1 changes nothing (but a zero, by 2e-308).

    Raises:
        DataError: an array of a wrong shape or with wrong values, or a temperature that is not positive.
    """
    if not (np.isfinite(temperature) and temperature > 0):
        raise DataError(f"temperature is {temperature!r}; expected a positive number.")
    return _softmax(_log(as_probabilities(probabilities)) / temperature)


#: Standard deviation of log T in the prior of :func:`fit_temperature`: a factor of e is two of them, so
#: that 95 % of the prior lies between 0.37 and 2.7, a weak statement that T is of the order of one.
PRIOR_SCALE = 0.5


@of_votes
def fit_temperature(
    probabilities: ArrayLike, labels: ArrayLike, *, prior_scale: float | None = PRIOR_SCALE
) -> float:
    r"""Return the most probable temperature: least total NLL of these points plus a penalty on log T.

    The penalty :math:`(\log T)^2 / 2 s^2` is a normal prior on log T around no change.  It is worth a fixed
    number of nats, so that it fades as the points grow in number: at thousands the fit is that of maximum
    likelihood, and at a hundred without a mistake T stays moderate.

    The NLL is convex in :math:`\beta = 1/T` (a soft-max family in its natural parameter), and its one minimum
    is the root of the derivative, sum over points of :math:`\sum_c p_T(c) \log p(c) - \log p(y)`, found
    between the :data:`LIMITS` on the scale of log T.  With the prior the objective need not be convex (the
    penalty is, in :math:`\beta`, up to e only), but both parts rise outside the interval from T = 1 to that
    root: the least value on a grid of the interval is found, and refined between its neighbours.

    *Assumes* that the points are like those that will be predicted, and that no training saw them: it wants
    validation points.  Where early stopping or tuning used them as well, T comes out a little low.

    *Fails* where few points have no mistake at all: they say only that T is low, and how low is the prior's
    choice, which one notices as a T that moves with ``prior_scale``.  Without a prior no T is low enough
    then, and the lower limit comes back, which the first mistake on a test point makes expensive; where the
    predictor is no better than chance the upper limit comes back.  Where no T makes a difference (all
    probabilities equal) it is 1.

    Example:
        >>> sure, right = [[0.9, 0.1]] * 100, [0] * 100  # without a mistake
        >>> fit_temperature(sure, right, prior_scale=None), round(fit_temperature(sure, right), 2)
        (0.05, 0.44)

    Args:
        probabilities: `[N, C]`; for zeros see :func:`scale_temperature`.
        labels: `[N]` in 0..C-1.
        prior_scale: s > 0, the standard deviation of log T; None for maximum likelihood.

    Raises:
        DataError: an array of a wrong shape or with wrong values, or a scale that is not positive.
    """
    if prior_scale is not None and not (np.isfinite(prior_scale) and prior_scale > 0):
        raise DataError(f"prior_scale is {prior_scale!r}; expected a positive number, or None for no prior.")
    probs = as_probabilities(probabilities)
    truth = as_labels(labels, *probs.shape)
    z = _log(probs)
    z -= z.max(-1, keepdims=True)
    right = z[np.arange(len(z)), truth]
    likeliest = _likeliest(z, right)
    if prior_scale is None or likeliest == 0:
        return _at(likeliest)
    return _at(_most_probable(z, right, likeliest, prior_scale))


def _likeliest(z: FloatArray, right: FloatArray) -> float:
    """Return the log T of least NLL between the limits."""
    from scipy.optimize import brentq

    def slope(log_t: float) -> float:
        """The NLL's derivative in 1/T, which falls as T rises."""
        return float(((_softmax(z * np.exp(-log_t)) * z).sum(-1) - right).mean())

    low, high = np.log(LIMITS[0]), np.log(LIMITS[1])
    at_low, at_high = slope(low), slope(high)
    if at_low == at_high == 0:
        return 0.0
    if at_low <= 0:
        return float(low)
    if at_high >= 0:
        return float(high)
    return float(brentq(slope, low, high, xtol=1e-12))


def _most_probable(z: FloatArray, right: FloatArray, likeliest: float, prior_scale: float) -> float:
    """Return the log T of least NLL plus penalty, between 0 and the log T of least NLL."""
    from scipy.optimize import minimize_scalar

    def objective(log_t: float) -> float:
        scaled = z * np.exp(-log_t)
        nll = np.log(np.exp(scaled).sum(-1)) - right * np.exp(-log_t)  # the largest entry of z is 0
        return float(nll.sum()) + 0.5 * (log_t / prior_scale) ** 2

    grid = np.linspace(min(likeliest, 0.0), max(likeliest, 0.0), 65)
    best = int(np.argmin([objective(t) for t in grid]))
    bounds = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    found = minimize_scalar(objective, bounds=bounds, method="bounded", options={"xatol": 1e-10})
    return float(min((float(found.x), float(grid[best])), key=objective))


def _at(log_t: float) -> float:
    """Return T, a limit exactly where it is one."""
    return next((limit for limit in LIMITS if log_t == np.log(limit)), float(np.exp(log_t)))


def _log(probs: FloatArray) -> FloatArray:
    return np.log(np.maximum(probs, np.finfo(np.float64).tiny))


def _softmax(z: FloatArray) -> FloatArray:
    weights = np.exp(z - z.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)
