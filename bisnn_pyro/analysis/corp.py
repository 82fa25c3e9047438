r"""CORP: the Brier score as miscalibration less discrimination plus uncertainty, without bins.

With S the score as it is, S_C after isotonic recalibration on the same points and S_R of the constant
share of events, :math:`S = (S - S_C) - (S_R - S_C) + S_R` (Dimitriadis, Gneiting and Jordan 2021, "Stable
reliability diagrams for probabilistic classifiers", PNAS 118, eq. 3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.forecasts import Form, Pair, forecasts
from bisnn_pyro.analysis.isotonic import IsotonicCurve, isotonic_curve
from bisnn_pyro.analysis.validation import FloatArray


@dataclass(frozen=True)
class CorpDecomposition:
    """Three parts of a Brier score, each at least 0.

    Attributes:
        miscalibration: what isotonic recalibration would save; 0 for a calibrated predictor.
        discrimination: what the recalibrated predictor saves against always the same answer; more is better.
        uncertainty: the score of always the same answer, the shares of the data; no merit of the predictor.
    """

    miscalibration: float
    discrimination: float
    uncertainty: float

    @property
    def score(self) -> float:
        """The Brier score: miscalibration - discrimination + uncertainty."""
        return self.miscalibration - self.discrimination + self.uncertainty


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
    parts = np.array([_parts(pair) for pair in forecasts(probabilities, labels, form)]).sum(0)
    return CorpDecomposition(*map(float, parts))


def _parts(pair: Pair) -> tuple[float, float, float]:
    curve = isotonic_curve(*pair)
    share = np.full_like(curve.confidence, pair[1].mean())
    stated, recalibrated, constant = (_score(p, curve) for p in (curve.confidence, curve.calibrated, share))
    # Isotonic regression is the least-squares fit among all monotone ones: below 0 is rounding.
    return max(stated - recalibrated, 0.0), max(constant - recalibrated, 0.0), constant


def _score(probability: FloatArray, curve: IsotonicCurve) -> float:
    """Mean squared error of one probability for each distinct confidence."""
    squares = curve.events * (1 - probability) ** 2 + (curve.count - curve.events) * probability**2
    return float(squares.sum() / curve.count.sum())
