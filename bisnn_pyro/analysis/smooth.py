r"""Smooth ECE: the calibration error without bins (Blasiok and Nakkiran, arXiv 2309.12236; ICLR 2024).

The residuals :math:`f_i - y_i` are smoothed along the confidence with the Gaussian kernel reflected at 0
and 1, and the smoothed curve's absolute value is integrated:

.. math::
    \mathrm{smECE}_\sigma = \int_0^1 \Bigl| \frac1N \sum_i K_\sigma(t, f_i) (f_i - y_i) \Bigr| \, dt

It falls as sigma rises, so that exactly one bandwidth equals its own error, and that is the smooth ECE.
The reflected Gaussian is the heat kernel of an insulated rod, a cosine series:
:math:`K_\sigma(t, f) = 1 + 2 \sum_k e^{-(\pi k \sigma)^2 / 2} \cos(\pi k t) \cos(\pi k f)`.
The residuals enter through their cosine coefficients, once, and no confidence is rounded to a grid.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.forecasts import Pair, as_forecasts, top_label
from bisnn_pyro.analysis.validation import FloatArray

#: The narrowest bandwidth looked at; smaller errors are given as the one at this bandwidth.
FINEST = 6e-4
#: Terms times bandwidth at which the series ends: the next one weighs exp(-(2.4 pi)^2 / 2) = 5e-13.
_REACH = 2.4
#: Midpoints of the integral; with kinks where the curve changes sign the error is some 1e-8.
_GRID = 1 << 14
#: Cosines held at once (2^21 float64 = 16 MiB).
_MAX_COSINES = 1 << 21


def smooth_calibration_error(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Smooth ECE of the top label, smECE at its self-consistent bandwidth, in [0, 1].

    The form is the paper's main one: reflected Gaussian kernel on the scale of the confidence itself (not
    of its logit), and the bandwidth sigma for which smECE at sigma is sigma.  The authors' package relplot
    finds that bandwidth to 0.001; here it is found to rounding.

    *Assumes* independent points.  *Fails* to be zero for a calibrated predictor of few points, as every
    plug-in error does, and miscalibration on a scale finer than the error itself goes unseen: the measure
    is a distance to the nearest calibrated predictor up to constant factors, not an ECE.  One notices by
    the error of labels drawn from the stated confidences (``calibrated_outcomes``).

    Args:
        probabilities: `[N, C]`, binary tasks with C = 2.
        labels: `[N]` in 0..C-1.

    Raises:
        DataError: an array of a wrong shape or with wrong values.
    """
    return smooth_error(*top_label(probabilities, labels))


def smooth_error(confidence: ArrayLike, correct: ArrayLike) -> float:
    """Smooth ECE of any probabilities of an event; the work behind :func:`smooth_calibration_error`.

    Args:
        confidence: `[N]` in [0, 1].
        correct: `[N]` booleans or 0/1, whether the event came true.

    Raises:
        DataError: shapes that differ, or a wrong value.
    """
    from scipy.optimize import brentq

    pair = as_forecasts(confidence, correct)
    if np.array_equal(*pair):
        return 0.0
    coefficients, low = np.zeros(0), 1.0
    while low > FINEST:  # more terms until the bandwidth sought is wider than what they resolve
        low = max(low / 8, FINEST)
        coefficients = _extended(coefficients, pair, int(np.ceil(_REACH / low)))
        at_low = _error(low, coefficients)
        if at_low >= low:
            # The error is at most 1 but for rounding, so that the two have crossed before sigma = 2.
            crossing = brentq(_excess, low, 2.0, args=(coefficients,), xtol=1e-12)
            return min(float(crossing), 1.0)
    return at_low


def _extended(coefficients: FloatArray, pair: Pair, n_terms: int) -> FloatArray:
    """Add cosine coefficients of the residuals up to `n_terms` of them."""
    confidence, correct = pair
    residual = (confidence - correct) / len(confidence)
    rows = max(1, _MAX_COSINES // len(confidence))
    parts = [coefficients]
    for first in range(len(coefficients), n_terms, rows):
        k = np.arange(first, min(first + rows, n_terms))
        parts.append(np.cos(np.pi * np.outer(k, confidence)) @ residual)
    return np.concatenate(parts)


def _excess(sigma: float, coefficients: FloatArray) -> float:
    return _error(sigma, coefficients) - sigma


def _error(sigma: float, coefficients: FloatArray) -> float:
    """SmECE at one bandwidth: the mean over midpoints of the absolute smoothed residual."""
    from scipy.fft import dct

    damped = coefficients * np.exp(-((np.pi * sigma * np.arange(len(coefficients))) ** 2) / 2)
    # The cosine transform of type 3 is c_0 + 2 sum_k c_k cos(pi k t) at the midpoints t.
    return float(np.abs(dct(damped, type=3, n=_GRID)).mean())
