r"""The Brier score's parts, with bins and without, and all calibration scores of a table at once.

**Murphy's decomposition** uses bins.  With probabilities f and outcomes o, of bin means :math:`\bar f_b, \bar
o_b` and overall mean :math:`\bar o`, and means over points throughout (Murphy 1973; Stephenson, Coelho and
Jolliffe 2008, "Two extra components in the Brier score decomposition"):

.. math::
    \overline{(f - o)^2} = \overline{(\bar f_b - \bar o_b)^2} - \overline{(\bar o_b - \bar o)^2}
    + \bar o (1 - \bar o) + \overline{(f - \bar f_b)^2} - 2\, \overline{(f - \bar f_b)(o - \bar o_b)}

**CORP** needs none.  With S the score as it is, S_C after isotonic recalibration on the same points and S_R
of the constant share of events, :math:`S = (S - S_C) - (S_R - S_C) + S_R` (Dimitriadis, Gneiting and Jordan
2021, "Stable reliability diagrams for probabilistic classifiers", PNAS 118, eq. 3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.calibration.bins import (
    Form,
    Pair,
    Scheme,
    bin_edges,
    bin_index,
    class_forecasts,
    forecasts,
)
from bisnn_pyro.analysis.calibration.curves import IsotonicCurve, isotonic_curve
from bisnn_pyro.analysis.calibration.errors import (
    classwise_calibration_error,
    debiased_calibration_error,
    ece_of_calibrated,
    expected_calibration_error,
    smooth_calibration_error,
)
from bisnn_pyro.analysis.validation import FloatArray
from bisnn_pyro.analysis.votes import of_votes


@dataclass(frozen=True)
class BrierDecomposition:
    """Five parts of a Brier score.

    Attributes:
        reliability: squared gap between probability and share of events, at least 0; less is better.
        resolution: variance of the share of events between bins, at least 0; more is better.
        uncertainty: the score of a constant forecast of the data's shares; independent of the predictor.
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


@dataclass(frozen=True)
class CorpDecomposition:
    """Three parts of a Brier score, each at least 0.

    Attributes:
        miscalibration: what isotonic recalibration would save; 0 for a calibrated predictor.
        discrimination: what the recalibrated predictor gains over a constant forecast; more is better.
        uncertainty: the score of a constant forecast of the data's shares; independent of the predictor.
    """

    miscalibration: float
    discrimination: float
    uncertainty: float

    @property
    def score(self) -> float:
        """The Brier score: miscalibration - discrimination + uncertainty."""
        return self.miscalibration - self.discrimination + self.uncertainty


@of_votes
def calibration_metrics(
    probabilities: ArrayLike, labels: ArrayLike, n_bins: int = 15, *, seed: int = 0
) -> dict[str, float]:
    """Calibration errors, with the baseline of a calibrated predictor, and the Brier score's parts.

    Args:
        probabilities: `[N, C]`, binary tasks with C = 2.
        labels: `[N]` in 0..C-1.
        n_bins: bins of the errors that need them.
        seed: of the baseline's draws.

    Returns:
        * ``ece`` and ``ece_mass`` (top label, equal width and equal mass), ``ece_calibrated`` and
          ``ece_calibrated_high`` (mean and 97.5 % quantile of ``ece`` under calibration),
        * ``classwise_ece`` and ``classwise_ece_mass``, ``smooth_ece``,
        * ``debiased_l2_square`` (top label) and ``debiased_l2_marginal_square``, both with equal
          mass: squares, which are unbiased and may be averaged over seeds; roots may not,
        * ``brier`` with Murphy's ``reliability``, ``resolution`` (generalised by the within-bin parts) and
          ``uncertainty``, and CORP's ``miscalibration`` and ``discrimination``, all summed over classes.

    Raises:
        DataError: an array of a wrong shape or with wrong values.
    """
    pair = (probabilities, labels)
    baseline = ece_of_calibrated(probabilities, n_bins, seed=seed)
    murphy, corp = brier_decomposition(*pair, n_bins), corp_decomposition(*pair)
    return {
        "ece": expected_calibration_error(*pair, n_bins),
        "ece_mass": expected_calibration_error(*pair, n_bins, "mass"),
        "ece_calibrated": baseline.mean,
        "ece_calibrated_high": baseline.high,
        "classwise_ece": classwise_calibration_error(*pair, n_bins),
        "classwise_ece_mass": classwise_calibration_error(*pair, n_bins, "mass"),
        "smooth_ece": smooth_calibration_error(*pair),
        "debiased_l2_square": debiased_calibration_error(*pair, n_bins, root=False),
        "debiased_l2_marginal_square": debiased_calibration_error(*pair, n_bins, form="marginal", root=False),
        "brier": murphy.score,
        "reliability": murphy.reliability,
        "resolution": murphy.generalised_resolution,
        "uncertainty": murphy.uncertainty,
        "miscalibration": corp.miscalibration,
        "discrimination": corp.discrimination,
    }


@of_votes
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
    parts = [_murphy_parts(pair, n_bins, scheme) for pair in class_forecasts(probabilities, labels)]
    return BrierDecomposition(*map(float, np.sum(parts, axis=0)))


@of_votes
def corp_decomposition(
    probabilities: ArrayLike, labels: ArrayLike, form: Form = "marginal"
) -> CorpDecomposition:
    """CORP decomposition of the Brier score (Dimitriadis, Gneiting and Jordan 2021).

    The marginals' parts are summed over classes, and so add up to :func:`~bisnn_pyro.analysis.brier_score`
    (in [0, 2]; for C = 2 twice the parts of one class).  Those of the top label add up to the mean squared
    difference between confidence and rightness, in [0, 1].

    *Assumes* independent points, and shares of events that rise with the probability.  *Fails* for few
    points: recalibration is fitted to the points that it is judged by, and the miscalibration of a
    calibrated predictor is above 0: one class of probabilities spread over [0, 1] shows 0.023 with 100
    points, 0.0055 with 1000, 0.0012 with 10,000.  One notices by repeating it with outcomes drawn from the
    stated confidences (``calibrated_outcomes``).

    Args:
        probabilities: `[N, C]`, binary tasks with C = 2.
        labels: `[N]` in 0..C-1.
        form: ``"marginal"`` or ``"top-label"``.

    Raises:
        DataError: an array of a wrong shape or with wrong values, or no such form.
    """
    parts = np.array([_corp_parts(pair) for pair in forecasts(probabilities, labels, form)]).sum(0)
    return CorpDecomposition(*map(float, parts))


def _murphy_parts(pair: Pair, n_bins: int, scheme: Scheme) -> FloatArray:
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


def _corp_parts(pair: Pair) -> tuple[float, float, float]:
    curve = isotonic_curve(*pair)
    share = np.full_like(curve.confidence, pair[1].mean())
    stated, recalibrated, constant = (_score(p, curve) for p in (curve.confidence, curve.calibrated, share))
    # Isotonic regression is the least-squares fit among all monotone ones: below 0 is rounding.
    return max(stated - recalibrated, 0.0), max(constant - recalibrated, 0.0), constant


def _score(probability: FloatArray, curve: IsotonicCurve) -> float:
    """Mean squared error of one probability for each distinct confidence."""
    squares = curve.events * (1 - probability) ** 2 + (curve.count - curve.events) * probability**2
    return float(squares.sum() / curve.count.sum())
