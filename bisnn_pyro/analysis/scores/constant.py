"""The constant predictor: what a prediction scores that ignores its input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.calibration.bins import N_BINS
from bisnn_pyro.analysis.scores.points import classification_metrics, regression_metrics
from bisnn_pyro.errors import DataError

SMALLEST_SCALE = 1e-6
"""Standard deviation of the prediction where all training targets are equal."""
CONSTANT = "constant"
"""Its name in tables and in ``metrics.json``, where its scores are."""
PREDICTED = "constant_predictor"
"""Where ``metrics.json`` says what it predicts."""
LEAST_GAIN = 0.02
"""Share of the constant predictor's NLL or RMSE by which another one must be better to have learned."""
STANDARD_ERRORS = 2.0
"""Or, of a classification: standard errors by which its accuracy must be higher."""


@dataclass(frozen=True)
class ConstantPredictor:
    """Predicts the same for every input: the class frequencies, or the mean and spread, of a training set.

    A predictor that is not better has not learned anything about its inputs.

    Attributes:
        frequencies: of the classes ``[C]`` in the training set; empty for a regression.
        mean: of the training targets, in their units; None for a classification.
        scale: their standard deviation (of the population), at least :data:`SMALLEST_SCALE`.

    Example:
        >>> constant = ConstantPredictor.fit([0, 0, 0, 1], n_classes=2)
        >>> constant.frequencies
        (0.75, 0.25)
        >>> scores = constant.metrics([0, 1])
        >>> round(scores["nll"], 4), scores["accuracy"]
        (0.837, 0.5)
        >>> constant.beaten_by({"nll": 0.5, "accuracy": 1.0}, [0, 1])
        True
    """

    frequencies: tuple[float, ...] = ()
    mean: float | None = None
    scale: float | None = None

    @classmethod
    def fit(cls, y: ArrayLike, n_classes: int | None = None) -> ConstantPredictor:
        """Return the constant predictor of a training set.

        Args:
            y: `[N]` labels in 0..C-1, or targets of a regression.
            n_classes: C; None for a regression.

        Raises:
            DataError: if there are no targets.
        """
        values = np.asarray(y)
        if not len(values):
            raise DataError("y is empty; the constant predictor needs training targets.")
        if n_classes is None:
            scale = max(float(values.std(dtype=np.float64)), SMALLEST_SCALE)
            return cls(mean=float(values.mean(dtype=np.float64)), scale=scale)
        counts = np.bincount(values.astype(np.int64), minlength=n_classes)
        return cls(tuple((counts / counts.sum()).tolist()))

    @property
    def certain(self) -> bool:
        """Whether all training targets are the same."""
        return max(self.frequencies, default=0.0) == 1 or self.scale == SMALLEST_SCALE

    def record(self, y: ArrayLike, n_bins: int = N_BINS) -> dict[str, Any]:
        """Return what ``metrics.json`` has of it: its scores on ``y``, and what it predicts."""
        own = (
            {"frequencies": list(self.frequencies)} if self.mean is None else vars(self) | {"frequencies": []}
        )
        return {CONSTANT: self.metrics(y, n_bins), PREDICTED: own}

    @classmethod
    def rescored(cls, stored: Mapping[str, Any], y: ArrayLike, n_bins: int = N_BINS) -> dict[str, Any]:
        """Return :meth:`record` of the one in ``metrics.json`` on other targets; nothing without one."""
        own = stored.get(PREDICTED)
        return (
            {} if own is None else cls(**{**own, "frequencies": tuple(own["frequencies"])}).record(y, n_bins)
        )

    def metrics(self, y: ArrayLike, n_bins: int = N_BINS) -> dict[str, float]:
        """Return its scores on targets ``[N]``, with the names of other predictors' scores.

        The NLL is infinite where ``y`` has a class that the training set lacks.
        """
        n = len(np.asarray(y))
        if self.mean is None or self.scale is None:
            return classification_metrics(np.tile(self.frequencies, (n, 1)), y, n_bins)
        return regression_metrics(np.full((1, n), self.mean), self.scale, y)

    def beaten_by(self, scores: Mapping[str, float], y: ArrayLike) -> bool:
        """Return whether another predictor's scores on ``y`` are better than chance makes them.

        That is an NLL at least :data:`LEAST_GAIN` below this one's, or an accuracy more than
        :data:`STANDARD_ERRORS` above it; of a regression an RMSE at least :data:`LEAST_GAIN` below.
        """
        own = self.metrics(y)
        if "rmse" in own:
            return scores["rmse"] <= (1 - LEAST_GAIN) * own["rmse"]
        p, n = own["accuracy"], len(np.asarray(y))
        lead = STANDARD_ERRORS * np.sqrt(max(p * (1 - p), 1 / n) / n)
        return bool(scores["nll"] <= (1 - LEAST_GAIN) * own["nll"] or scores["accuracy"] > p + lead)


def score_rows(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of a table of one run's scores: one per predictor, and the constant one last.

    Args:
        metrics: what ``metrics.json`` holds; that of an earlier release has no constant predictor.

    Example:
        >>> score_rows({"predictors": {"mode": {"nll": 0.3}}, "constant": {"nll": 0.7}})
        [{'predictor': 'mode', 'nll': 0.3}, {'predictor': 'constant', 'nll': 0.7}]
    """
    own = {CONSTANT: metrics[CONSTANT]} if CONSTANT in metrics else {}
    return [{"predictor": name, **scores} for name, scores in {**metrics["predictors"], **own}.items()]
