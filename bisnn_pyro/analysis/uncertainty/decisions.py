r"""Acting on uncertainty: withhold the least confident predictions, or answer with a set of classes.

**Selective prediction** keeps the most confident of N points; the risk-coverage curve tells how the loss
falls as more are withheld.

**Split conformal prediction** gives sets of classes that hold the label as often as promised.  Each of n
calibration points that no training saw gets a score, higher the worse its label fits; the threshold is the
score of rank :math:`\lceil (n + 1)\, level \rceil`, and a new point's set holds the classes whose score is
within it.  Where calibration and new points are exchangeable, the label is in the set with probability at
least `level`, whatever the predictor (Vovk, Gammerman and Shafer 2005; Papadopoulos et al. 2002).

* ``"lac"``, least ambiguous sets (Sadinle, Lei and Wasserman 2019): the score is 1 minus the class's
  probability.  The smallest sets on average; hard points get too few classes, or none.
* ``"aps"``, adaptive sets (Romano, Sesia and Candes 2020): the score adds up the probabilities of all more
  probable classes and a uniform share of the class's own.  Larger sets, fairer between easy and hard points;
  through the random share a set may be empty too, and coverage is exact instead of only at least the level.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.calibration.bins import top_label
from bisnn_pyro.analysis.intervals import wilson_interval
from bisnn_pyro.analysis.validation import (
    BoolArray,
    FloatArray,
    as_labels,
    as_probabilities,
    as_real,
    check_level,
)
from bisnn_pyro.analysis.votes import of_votes
from bisnn_pyro.errors import DataError

Method = Literal["lac", "aps"]

# Streams of the random shares: calibration and new points must not have them in common.
_CALIBRATION, _NEW = 0, 1


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


@of_votes
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


@dataclass(frozen=True)
class SetCoverage:
    """What prediction sets did on test points.

    Attributes:
        coverage: share of sets that hold the label.
        low: lower end of the Wilson interval of that share, over test points.
        high: upper end.
        mean_size: mean number of classes in a set.
        empty: share of sets without a class.
        single: share of sets of one class.
        n: number of test points.
        level: coverage of the Wilson interval (not of the sets).
    """

    coverage: float
    low: float
    high: float
    mean_size: float
    empty: float
    single: float
    n: int
    level: float


@of_votes
def conformal_threshold(
    probabilities: ArrayLike, labels: ArrayLike, level: float = 0.9, method: Method = "lac", *, seed: int = 0
) -> float:
    r"""Threshold of the scores, from calibration points.

    *Assumes* calibration points exchangeable with those predicted, and seen by neither training nor early
    stopping nor tuning.  *Fails* under shift, and promises nothing for any one class or kind of point; one
    notices by the coverage on labelled points of that kind.  The promise is for the mean over calibration
    sets: with one set of n points the coverage is Beta distributed, of standard deviation about
    :math:`\sqrt{level (1 - level) / n}`.

    Args:
        probabilities: `[n, C]` of the calibration points.
        labels: `[n]` in 0..C-1.
        level: the coverage promised, in (0, 1).
        method: ``"lac"`` or ``"aps"``.
        seed: of the random shares of ``"aps"``.

    Raises:
        DataError: an array of a wrong shape or with wrong values, `level` outside (0, 1), no such method,
            or too few points for this level: fewer than level / (1 - level).
    """
    check_level(level)
    probs = as_probabilities(probabilities)
    truth = as_labels(labels, *probs.shape)
    n = len(truth)
    rank = math.ceil((n + 1) * level - 1e-9)  # 100 * 0.55 is 55.00000000000001
    if rank > n:
        least = math.ceil(level / (1 - level) - 1e-9)
        raise DataError(
            f"{n} calibration points are too few for level {level:g}, which needs {least}; give more "
            "points or a lower level."
        )
    scores = _scores(probs, method, seed, _CALIBRATION)[np.arange(n), truth]
    return float(np.partition(scores, rank - 1)[rank - 1])


def conformal_sets(
    probabilities: ArrayLike, threshold: float, method: Method = "lac", *, seed: int = 0
) -> BoolArray:
    """Prediction sets `[N, C]`, true where the class is in the set.

    Args:
        probabilities: `[N, C]` of new points.
        threshold: from :func:`conformal_threshold` with the same method.
        method: ``"lac"`` or ``"aps"``.
        seed: of the random shares of ``"aps"``; another stream than the calibration's of the same seed.

    Raises:
        DataError: an array of a wrong shape or with wrong values, or no such method.
    """
    return _scores(as_probabilities(probabilities), method, seed, _NEW) <= threshold


def set_coverage(sets: ArrayLike, labels: ArrayLike, level: float = 0.95) -> SetCoverage:
    """Coverage and size of prediction sets on test points.

    Args:
        sets: `[N, C]` booleans or 0/1.
        labels: `[N]` in 0..C-1.
        level: coverage of the Wilson interval, which is over test points with the threshold held fixed.

    Raises:
        DataError: an array of a wrong shape or with wrong values, or `level` outside (0, 1).
    """
    array = as_real(sets, "sets", 2)
    if not np.isin(array, (0.0, 1.0)).all():
        raise DataError("sets hold values other than 0 and 1.")
    truth = as_labels(labels, *array.shape)
    n, size = len(truth), array.sum(-1)
    covered = int(array[np.arange(n), truth].sum())
    low, high = map(float, wilson_interval(covered, n, level))
    empty, single = (float((size == k).mean()) for k in (0, 1))
    return SetCoverage(covered / n, low, high, float(size.mean()), empty, single, n, level)


def _scores(probs: FloatArray, method: str, seed: int, stream: int) -> FloatArray:
    """Score `[N, C]` of each class, higher the worse it fits."""
    if method == "lac":
        return 1.0 - probs
    if method != "aps":
        raise DataError(f"method is {method!r}; expected 'lac' or 'aps'.")
    order = np.argsort(-probs, axis=-1, kind="stable")  # ties: the lowest class index first
    ranked = np.take_along_axis(probs, order, -1)
    share = np.random.default_rng([seed, stream]).random((len(probs), 1))
    # One share a point: a class is in the set whenever the more probable ones are.
    scores = np.cumsum(ranked, -1) - (1.0 - share) * ranked
    back = np.empty_like(scores)
    np.put_along_axis(back, order, scores, -1)
    return back
