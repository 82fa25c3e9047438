r"""The Brier score's parts over bins: reliability, resolution, uncertainty, and what bins hide.

With probabilities f and outcomes o, of bin means :math:`\bar f_b, \bar o_b` and overall mean
:math:`\bar o`, and means over points throughout (Murphy 1973; Stephenson, Coelho and Jolliffe 2008, "Two
extra components in the Brier score decomposition"):

.. math::
    \overline{(f - o)^2} = \overline{(\bar f_b - \bar o_b)^2} - \overline{(\bar o_b - \bar o)^2}
    + \bar o (1 - \bar o) + \overline{(f - \bar f_b)^2} - 2\, \overline{(f - \bar f_b)(o - \bar o_b)}
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.calibration import Scheme, bin_edges, bin_index
from bisnn_pyro.analysis.forecasts import Pair, class_forecasts
from bisnn_pyro.analysis.validation import FloatArray


@dataclass(frozen=True)
class BrierDecomposition:
    """Five parts of a Brier score.

    Attributes:
        reliability: squared gap between probability and share of events, at least 0; less is better.
        resolution: variance of the share of events between bins, at least 0; more is better.
        uncertainty: the score of always the same answer, the shares of the data; no merit of the predictor.
        within_variance: variance of the probability within bins, at least 0.
        within_covariance: twice the covariance of probability and event within bins, of either sign.
    """

    reliability: float
    resolution: float
    uncertainty: float
    within_variance: float
    within_covariance: float

    @property
    def score(self) -> float:
        """The Brier score: reliability - generalised resolution + uncertainty."""
        return self.reliability - self.generalised_resolution + self.uncertainty

    @property
    def generalised_resolution(self) -> float:
        """Resolution that minds the bins' width less: resolution - within variance + within covariance."""
        return self.resolution - self.within_variance + self.within_covariance


def brier_decomposition(
    probabilities: ArrayLike, labels: ArrayLike, n_bins: int = 15, scheme: Scheme = "width"
) -> BrierDecomposition:
    """Murphy's decomposition of the Brier score, exact for any bins by the within-bin parts.

    The parts are those of each class's probability, summed over classes, and so add up to
    :func:`~bisnn_pyro.analysis.brier_score` (in [0, 2]; for C = 2 twice the parts of one class).

    *Assumes* bins that hold enough points.  *Fails* with bins of few points: noise counts as reliability
    and as resolution alike, both come out too large, by about the variance of a bin's share of events.  One
    notices when both grow with the number of bins; ``corp_decomposition`` needs no bins.

    Args:
        probabilities: `[N, C]`, binary tasks with C = 2.
        labels: `[N]` in 0..C-1.
        n_bins: the number of bins.
        scheme: ``"width"`` for equal widths, ``"mass"`` for equal counts.

    Raises:
        DataError: an array of a wrong shape or with wrong values, or a wrong number of bins or scheme.
    """
    parts = [_parts(pair, n_bins, scheme) for pair in class_forecasts(probabilities, labels)]
    return BrierDecomposition(*map(float, np.sum(parts, axis=0)))


def _parts(pair: Pair, n_bins: int, scheme: Scheme) -> FloatArray:
    f, o = pair
    index = bin_index(f, bin_edges(f, n_bins, scheme))
    count = np.maximum(np.bincount(index), 1)
    f_bin = (np.bincount(index, weights=f) / count)[index]  # [N], the mean of each point's bin
    o_bin = (np.bincount(index, weights=o) / count)[index]
    base = o.mean()
    return np.array(
        [
            ((f_bin - o_bin) ** 2).mean(),
            ((o_bin - base) ** 2).mean(),
            base * (1 - base),
            ((f - f_bin) ** 2).mean(),
            2 * ((f - f_bin) * (o - o_bin)).mean(),
        ]
    )
