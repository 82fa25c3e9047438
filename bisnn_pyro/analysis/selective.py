"""Selective prediction: how the risk falls when the least confident predictions are withheld."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.forecasts import top_label
from bisnn_pyro.analysis.validation import FloatArray, as_real
from bisnn_pyro.errors import DataError


@dataclass(frozen=True)
class RiskCoverage:
    """Risk of the k most confident of N points, for k from 1 to N.

    Attributes:
        coverage: `[N]` share of points kept, k / N.
        risk: `[N]` mean loss of the points kept.
        best: `[N]` mean loss of the k points of least loss: what a perfect order of confidence would give.
    """

    coverage: FloatArray
    risk: FloatArray
    best: FloatArray

    @property
    def aurc(self) -> float:
        """Area under the curve: the mean risk over k (Geifman, Uziel and El-Yaniv 2019)."""
        return float(self.risk.mean())

    @property
    def excess_aurc(self) -> float:
        """AURC above that of a perfect order, at least 0: how well errors are ranked, apart from how many."""
        return float((self.risk - self.best).mean())

    @property
    def rejection(self) -> FloatArray:
        """`[N]` share of points withheld."""
        return 1.0 - self.coverage

    @property
    def accuracy(self) -> FloatArray:
        """`[N]` 1 - risk: with errors of 0 and 1 the accuracy of the points kept."""
        return 1.0 - self.risk


def risk_coverage(confidence: ArrayLike, loss: ArrayLike) -> RiskCoverage:
    """Risk-coverage curve of any score of confidence and any loss.

    Points of equal confidence have no order among themselves.  The risk is the mean over all their orders:
    kept in part, such a group weighs with its mean loss, so that no curve depends on how points are sorted.

    *Assumes* independent points.  *Fails* at low coverage, where the risk is that of a handful of points and
    its noise weighs in the area; one notices by the curve's start, which jumps from seed to seed.

    Args:
        confidence: `[N]`; higher is kept longer; infinities may be among them.
        loss: `[N]` loss of each point, 1 for an error and 0 else, or any other.

    Raises:
        DataError: shapes that differ, NaN, or an infinite loss.
    """
    score = as_real(confidence, "confidence", 1, finite=False)
    losses = as_real(loss, "loss", 1)
    if score.shape != losses.shape:
        raise DataError(f"confidence has shape {score.shape} but loss has {losses.shape}; they must agree.")
    _, group, count = np.unique(score, return_inverse=True, return_counts=True)
    shared = (np.bincount(group, weights=losses) / count)[group]
    kept = np.arange(1, len(losses) + 1)
    return RiskCoverage(
        coverage=kept / len(losses),
        risk=np.cumsum(shared[np.argsort(-group, kind="stable")]) / kept,
        best=np.cumsum(np.sort(losses)) / kept,
    )


def selective_accuracy(
    probabilities: ArrayLike, labels: ArrayLike, confidence: ArrayLike | None = None
) -> RiskCoverage:
    """Risk-coverage and accuracy-rejection curve of a classifier: the loss is 1 for a wrong top label.

    Args:
        probabilities: `[N, C]`, binary tasks with C = 2.
        labels: `[N]` in 0..C-1.
        confidence: `[N]` what to keep points by; the top label's probability where None.  A score of
            uncertainty, such as mutual information, is given with a minus.

    Raises:
        DataError: an array of a wrong shape or with wrong values.
    """
    top, correct = top_label(probabilities, labels)
    return risk_coverage(top if confidence is None else confidence, ~correct)
