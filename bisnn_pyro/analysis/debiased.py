r"""The calibration error in the quadratic mean, less what the noise of the labels adds to it.

Of a bin with n points, mean probability s and share of events a, the square :math:`(s - a)^2` exceeds that
of the bin's true share by the variance of a on average.  Kumar, Liang and Ma (2019, "Verified uncertainty
calibration", NeurIPS) take its unbiased estimate :math:`a (1 - a) / (n - 1)` off.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.calibration import Scheme, bin_confidences
from bisnn_pyro.analysis.forecasts import Form, Pair, forecasts


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


def _square(pair: Pair, n_bins: int, scheme: Scheme) -> float:
    bins = bin_confidences(*pair, n_bins, scheme)
    several = bins.count > 1
    n, a = bins.count[several], bins.accuracy[several]
    squares = (bins.confidence[several] - a) ** 2 - a * (1 - a) / (n - 1)
    return float((n * squares).sum() / bins.count.sum())
