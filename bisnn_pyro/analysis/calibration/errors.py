r"""Calibration errors: how far probabilities are from the shares of events, as one number.

The **binned** errors (ECE, MCE, class-wise, debiased) compare means within bins.  An ECE adds up absolute
gaps, and so is above zero for every finite test set, however well calibrated the predictor (Broecker 2012;
Roelofs et al. 2022, "Mitigating bias in calibration error estimation"): quote it with
:func:`ece_of_calibrated`.

The **debiased** error squares the gaps instead.  Of a bin with n points, mean probability s and share of
events a, the square :math:`(s - a)^2` exceeds that of the bin's true share by the variance of a on average;
Kumar, Liang and Ma (2019, "Verified uncertainty calibration", NeurIPS) subtract its unbiased estimate
:math:`a (1 - a) / (n - 1)`.

The **smooth** ECE has no bins (Blasiok and Nakkiran, arXiv 2309.12236; ICLR 2024).  The residuals :math:`f_i
- y_i` are smoothed along the confidence with the Gaussian kernel reflected at 0 and 1, and the smoothed
curve's absolute value is
integrated:

.. math::
    \mathrm{smECE}_\sigma = \int_0^1 \Bigl| \frac1N \sum_i K_\sigma(t, f_i) (f_i - y_i) \Bigr| \, dt

It falls as sigma rises, so that exactly one bandwidth equals its own error, and that is the smooth ECE.  The
reflected Gaussian is the heat kernel of an insulated rod, a cosine series: :math:`K_\sigma(t, f) = 1 + 2
\sum_k e^{-(\pi k \sigma)^2 / 2} \cos(\pi k t) \cos(\pi k f)`. The residuals enter through their cosine
coefficients, once, and no confidence is rounded to a grid.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.calibration.bins import (
    Form,
    Pair,
    Scheme,
    bin_confidences,
    bin_edges,
    bin_index,
    binned_outcomes,
    class_forecasts,
    forecasts,
    reliability_bins,
    top_label,
)
from bisnn_pyro.analysis.intervals import (
    MeanInterval,
    blocks,
    check_resamples,
    resample_counts,
)
from bisnn_pyro.analysis.validation import FloatArray, IntArray, as_forecasts, as_probabilities, check_level
from bisnn_pyro.analysis.votes import of_confidences, of_votes

#: The narrowest bandwidth looked at; smaller errors are given as the one at this bandwidth.
FINEST = 6e-4
#: Terms times bandwidth at which the series ends: the next one weighs exp(-(2.4 pi)^2 / 2) = 5e-13.
_REACH = 2.4
#: Midpoints of the integral; with kinks where the curve changes sign the error is some 1e-8.
_GRID = 1 << 14
#: Cosines held at once (2^21 float64 = 16 MiB).
_MAX_COSINES = 1 << 21


@of_votes
def expected_calibration_error(
    probabilities: ArrayLike, labels: ArrayLike, n_bins: int = 15, scheme: Scheme = "width"
) -> float:
    """ECE of the top label (Naeini et al. 2015; Guo et al. 2017), in [0, 1]; see :func:`reliability_bins`."""
    return reliability_bins(probabilities, labels, n_bins, scheme).ece


@of_votes
def maximum_calibration_error(
    probabilities: ArrayLike, labels: ArrayLike, n_bins: int = 15, scheme: Scheme = "width"
) -> float:
    """MCE of the top label: the largest gap of a filled bin, in [0, 1]; see :func:`reliability_bins`."""
    return reliability_bins(probabilities, labels, n_bins, scheme).mce


@of_votes
def classwise_calibration_error(
    probabilities: ArrayLike, labels: ArrayLike, n_bins: int = 15, scheme: Scheme = "width"
) -> float:
    """Class-wise ECE (Kull et al. 2019, "Beyond temperature scaling"), in [0, 1].

    The probability of each class is binned against whether it was the label; the mean gap over points is
    averaged over classes.  With equal widths it is the static calibration error of Nixon et al. (2019,
    "Measuring calibration in deep learning"), with equal counts their adaptive one.

    *Assumes* bins that hold enough points.  *Fails* for many classes: most probabilities lie near zero, in
    one bin that is right about them, and the error looks small because C is large.  One notices when it
    falls as classes are added; compare predictors of the same task alone.

    Args:
        probabilities: `[N, C]`, binary tasks with C = 2.
        labels: `[N]` in 0..C-1; a class without a point counts like any other.
        n_bins: the number of bins.
        scheme: ``"width"`` for equal widths, ``"mass"`` for equal counts.

    Raises:
        DataError: an array of a wrong shape or with wrong values, or a wrong number of bins or scheme.
    """
    pairs = class_forecasts(probabilities, labels)
    return float(np.mean([bin_confidences(*pair, n_bins, scheme).ece for pair in pairs]))


@of_votes
def debiased_calibration_error(
    probabilities: ArrayLike,
    labels: ArrayLike,
    n_bins: int = 15,
    scheme: Scheme = "mass",
    form: Form = "top-label",
    *,
    root: bool = True,
) -> float:
    r"""Debiased L2 calibration error of the binned predictor (Kumar, Liang and Ma 2019).

    .. math:: \sum_b \frac{n_b}{N} \left[(s_b - a_b)^2 - \frac{a_b (1 - a_b)}{n_b - 1}\right]

    averaged over classes for the marginals, each class with weight 1/C.

    *Assumes* independent points, and bins chosen without their labels.  *Measures* the predictor whose
    probabilities are averaged within bins, a lower bound for the predictor itself: within a bin too low and
    too high cancel.  One notices when the error grows with the number of bins.  *Fails* with bins of one
    point, which have no variance and are left out, as in the authors' code; and its root is no longer
    unbiased, being cut off at 0.  Average the squares (``root=False``), not the roots, over seeds.

    Args:
        probabilities: `[N, C]`, binary tasks with C = 2.
        labels: `[N]` in 0..C-1.
        n_bins: the number of bins.
        scheme: ``"mass"`` for equal counts, as in the paper, ``"width"`` for equal widths.
        form: ``"top-label"`` or ``"marginal"``.
        root: give the root of the square, or of 0 where the square is negative; else the square itself,
            which is unbiased and negative about half the time for a calibrated predictor.

    Raises:
        DataError: an array of a wrong shape or with wrong values, or a wrong bin number, scheme or form.
    """
    pairs = forecasts(probabilities, labels, form)
    square = float(np.mean([_square(pair, n_bins, scheme) for pair in pairs]))
    return float(np.sqrt(max(square, 0.0))) if root else square


@of_votes
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


@of_confidences
def ece_of_calibrated(
    probabilities: ArrayLike,
    n_bins: int = 15,
    scheme: Scheme = "width",
    level: float = 0.95,
    *,
    n_resamples: int = 1000,
    seed: int = 0,
) -> MeanInterval:
    """ECE that a perfectly calibrated predictor of these confidences would show on as many points.

    Outcomes are drawn from the confidences.  An ECE inside the interval is no evidence of miscalibration;
    one whose excess over the mean matters less than the mean itself wants more points.  The mean falls with
    the root of their number: to halve it takes four times as many.

    *Assumes* independent points.  *Fails* in nothing but its own noise: the mean has a relative error of
    about 1 % at 1000 resamples, which another seed shows.

    Args:
        probabilities: `[N, C]`; no labels are needed.
        n_bins: bins of the ECE.
        scheme: ``"width"`` or ``"mass"``.
        level: share of calibrated predictors whose ECE is inside the interval.
        n_resamples: draws of the outcomes.
        seed: of the generator; the same seed gives the same numbers.

    Returns:
        The mean, the central interval and half its length; n = N.

    Raises:
        DataError: an array of a wrong shape or with wrong values, or `level` outside (0, 1).
    """
    check_level(level)
    conf = np.minimum(as_probabilities(probabilities).max(-1), 1.0)
    edges = bin_edges(conf, n_bins, scheme)
    filled, _, events = binned_outcomes(conf, edges, n_resamples, seed)
    stated = np.bincount(bin_index(conf, edges), weights=conf)[filled]
    errors = np.abs(events - stated).sum(1) / len(conf)
    low, high = map(float, np.quantile(errors, [0.5 - level / 2, 0.5 + level / 2]))
    return MeanInterval(float(errors.mean()), (high - low) / 2, low, high, len(conf), level)


@of_votes
def ece_interval(
    probabilities: ArrayLike,
    labels: ArrayLike,
    n_bins: int = 15,
    scheme: Scheme = "width",
    level: float = 0.95,
    *,
    n_resamples: int = 2000,
    seed: int = 0,
) -> MeanInterval:
    r"""Bootstrap interval of the top-label ECE over test points, with the network held fixed.

    Points are drawn with replacement, bins stay.  An ECE is too large by the noise of its bins, and a
    resample's by that noise once more, so that percentiles alone never come near zero.  The lower end is
    therefore mirrored, :math:`2 e - q_{high}` (the basic bootstrap; Davison and Hinkley 1997, "Bootstrap
    methods and their application"), which takes the bias off, and it is 0 where the ECE is within what
    resamples show about gaps of zero; the upper end is the percentile, which leaves the bias on.

    *Assumes* independent points.  *Fails* to be short: absolute gaps have a kink at zero, where no bootstrap
    is exact, and the two ends lean to the safe sides.  In simulations of 200 to 5000 points with errors of 0
    to 0.1 intervals of 95 % held the binned error of the population in 92 to 99 % of cases.  One notices
    by :func:`ece_of_calibrated`, whose mean is the part that is noise.

    Args:
        probabilities: `[N, C]`, binary tasks with C = 2.
        labels: `[N]` in 0..C-1.
        n_bins: bins of the ECE.
        scheme: ``"width"`` or ``"mass"``.
        level: coverage.
        n_resamples: the number of bootstrap draws.
        seed: of the generator; the same seed gives the same interval.

    Returns:
        The ECE itself, not debiased, the interval and half its length; n = N.  The interval is not
        symmetric about the ECE: print its ends.

    Raises:
        DataError: an array of a wrong shape or with wrong values, or `level` outside (0, 1).
    """
    check_level(level)
    check_resamples(n_resamples)
    conf, hits = top_label(probabilities, labels)
    index = bin_index(conf, bin_edges(conf, n_bins, scheme))
    gaps = np.bincount(index, weights=conf - hits) / len(conf)
    drawn = _resampled_gaps(conf - hits, index, n_resamples, seed)
    ece, errors = float(np.abs(gaps).sum()), np.abs(drawn).sum(1)
    noise = np.quantile(np.abs(drawn - gaps).sum(1), 0.5 + level / 2)
    high = float(np.quantile(errors, 0.5 + level / 2))
    low = 0.0 if ece <= noise else max(2 * ece - high, 0.0)
    return MeanInterval(ece, (high - low) / 2, low, high, len(conf), level)


def _square(pair: Pair, n_bins: int, scheme: Scheme) -> float:
    bins = bin_confidences(*pair, n_bins, scheme)
    several = bins.count > 1
    n, a = bins.count[several], bins.accuracy[several]
    squares = (bins.confidence[several] - a) ** 2 - a * (1 - a) / (n - 1)
    return float((n * squares).sum() / bins.count.sum())


def _resampled_gaps(gap: FloatArray, index: IntArray, n_resamples: int, seed: int) -> FloatArray:
    """Gap of each bin, weighted by its share of points, in bootstrap resamples: `[R, B]`."""
    n = len(gap)
    by_bin = np.zeros((n, index.max() + 1))
    by_bin[np.arange(n), index] = gap / n
    rng, points = np.random.default_rng(seed), np.arange(n)
    draws = (resample_counts(points, n, rows, rng) for rows in blocks(n_resamples, n))
    return np.concatenate([counts @ by_bin for counts in draws])


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
