"""Class-wise calibration error: the binned error of every class's probability, averaged over classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.calibration import Scheme, bin_confidences
from bisnn_pyro.analysis.forecasts import class_forecasts


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
