"""Every calibration score of a classifier at once, for a table or a report."""

from __future__ import annotations

from numpy.typing import ArrayLike

from bisnn_pyro.analysis.brier import brier_decomposition
from bisnn_pyro.analysis.calibration import expected_calibration_error
from bisnn_pyro.analysis.classwise import classwise_calibration_error
from bisnn_pyro.analysis.corp import corp_decomposition
from bisnn_pyro.analysis.debiased import debiased_calibration_error
from bisnn_pyro.analysis.ece_sampling import ece_of_calibrated
from bisnn_pyro.analysis.smooth import smooth_calibration_error


def calibration_metrics(
    probabilities: ArrayLike, labels: ArrayLike, n_bins: int = 15, *, seed: int = 0
) -> dict[str, float]:
    """Calibration errors beside the baseline of a calibrated predictor, and the Brier score's parts.

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
