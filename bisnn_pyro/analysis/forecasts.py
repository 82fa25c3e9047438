"""Probabilities of yes-or-no events and what came of them: the pairs that calibration is measured on.

A classifier of C classes gives such pairs in two ways.  The *top label* gives one a point: the confidence in
the predicted class, and whether it was right.  The *marginals* give one a point and class: the probability
of the class, and whether it was the label.  A predictor that is calibrated in all its marginals need not be
so in its top label, nor the other way round, so that a calibration error is told together with its form.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.validation import BoolArray, FloatArray, as_labels, as_probabilities, as_real
from bisnn_pyro.errors import DataError

Form = Literal["top-label", "marginal"]
Pair = tuple[FloatArray, FloatArray]


def top_label(probabilities: ArrayLike, labels: ArrayLike) -> tuple[FloatArray, BoolArray]:
    """Confidence and rightness of the predicted class.

    Args:
        probabilities: `[N, C]`.
        labels: `[N]` in 0..C-1.

    Returns:
        The largest probability of each row, `[N]`, and whether its class is the label, `[N]`.

    Raises:
        DataError: an array of a wrong shape or with wrong values.
    """
    probs = as_probabilities(probabilities)
    truth = as_labels(labels, *probs.shape)
    return np.minimum(probs.max(-1), 1.0), probs.argmax(-1) == truth


def class_forecasts(probabilities: ArrayLike, labels: ArrayLike) -> list[Pair]:
    """Probability of each class, and whether it was the label.

    Args:
        probabilities: `[N, C]`.
        labels: `[N]` in 0..C-1.

    Returns:
        One pair a class: `[N]` probabilities and `[N]` zeros and ones.

    Raises:
        DataError: an array of a wrong shape or with wrong values.
    """
    probs = as_probabilities(probabilities)
    truth = as_labels(labels, *probs.shape)
    columns = np.minimum(probs.T, 1.0)  # rows may sum to one with float32's rounding alone
    return [(column, (truth == k).astype(np.float64)) for k, column in enumerate(columns)]


def forecasts(probabilities: ArrayLike, labels: ArrayLike, form: Form) -> list[Pair]:
    """The pairs of a form: one for the top label, C for the marginals.

    Raises:
        DataError: an array of a wrong shape or with wrong values, or no such form.
    """
    if form == "marginal":
        return class_forecasts(probabilities, labels)
    if form != "top-label":
        raise DataError(f"form is {form!r}; expected 'top-label' or 'marginal'.")
    confidence, correct = top_label(probabilities, labels)
    return [(confidence, correct.astype(np.float64))]


def as_confidence(values: ArrayLike, name: str = "confidence") -> FloatArray:
    """Check probabilities of an event: `[N]` in [0, 1].

    Raises:
        DataError: another shape, or a value outside [0, 1].
    """
    array = as_real(values, name, 1)
    if array.min() < 0 or array.max() > 1:
        raise DataError(f"{name} has values in [{array.min():g}, {array.max():g}]; expected [0, 1].")
    return array


def as_forecasts(confidence: ArrayLike, correct: ArrayLike) -> Pair:
    """Check pairs of probability and outcome: `[N]` in [0, 1] and `[N]` booleans or 0/1.

    Raises:
        DataError: shapes that differ, or a wrong value.
    """
    conf, hits = as_confidence(confidence), as_real(correct, "correct", 1)
    if conf.shape != hits.shape:
        raise DataError(f"confidence has shape {conf.shape} but correct has {hits.shape}; they must agree.")
    if not np.isin(hits, (0.0, 1.0)).all():
        raise DataError("correct holds values other than 0 and 1.")
    return conf, hits
