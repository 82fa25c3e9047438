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

    Args:
        probabilities: `[N, C]`; a zero is read as one that underflowed, the smallest normal float64.
        temperature: T > 0; 1 changes nothing (but a zero, by 2e-308).

    Raises:
        DataError: an array of a wrong shape or with wrong values, or a temperature that is not positive.
    """
    if not (np.isfinite(temperature) and temperature > 0):
        raise DataError(f"temperature is {temperature!r}; expected a positive number.")
    return _softmax(_log(as_probabilities(probabilities)) / temperature)


@of_votes
def fit_temperature(probabilities: ArrayLike, labels: ArrayLike) -> float:
    r"""Return the temperature at which the NLL of these points is least.

    The NLL is convex in :math:`\beta = 1/T` (a soft-max family in its natural parameter), so that its one
    minimum is the root of the derivative, mean over points of
    :math:`\sum_c p_T(c) \log p(c) - \log p(y)`, found between the :data:`LIMITS` on the scale of log T.

    *Assumes* that the points are like those that will be predicted, and that no training saw them: it wants
    validation points.  Where early stopping or tuning used them as well, T comes out a little low.

    *Fails* where they have no mistake at all: then no T is low enough, and the lower limit comes back,
    which the first mistake on a test point will punish.  Where the predictor is no better than chance the
    upper limit comes back.  One notices by the T, at a limit; where no T makes a difference (all
    probabilities equal) it is 1.

    Args:
        probabilities: `[N, C]`; for zeros see :func:`scale_temperature`.
        labels: `[N]` in 0..C-1.

    Raises:
        DataError: an array of a wrong shape or with wrong values.
    """
    from scipy.optimize import brentq

    probs = as_probabilities(probabilities)
    truth = as_labels(labels, *probs.shape)
    z = _log(probs)
    z -= z.max(-1, keepdims=True)
    right = z[np.arange(len(z)), truth]

    def slope(log_t: float) -> float:
        """The NLL's derivative in 1/T, which falls as T rises."""
        return float(((_softmax(z * np.exp(-log_t)) * z).sum(-1) - right).mean())

    low, high = np.log(LIMITS[0]), np.log(LIMITS[1])
    at_low, at_high = slope(low), slope(high)
    if at_low == at_high == 0:
        return 1.0
    if at_low <= 0:
        return LIMITS[0]
    if at_high >= 0:
        return LIMITS[1]
    return float(np.exp(brentq(slope, low, high, xtol=1e-12)))


def _log(probs: FloatArray) -> FloatArray:
    return np.log(np.maximum(probs, np.finfo(np.float64).tiny))


def _softmax(z: FloatArray) -> FloatArray:
    weights = np.exp(z - z.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)
