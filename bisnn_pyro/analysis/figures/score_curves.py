"""Scores against a number that is turned up: the severity of a shift, a temperature, the weight of the KL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.figures.canvas import Canvas, canvas
from bisnn_pyro.analysis.figures.marks import draw_interval_curve
from bisnn_pyro.analysis.figures.style import SINGLE_WIDTH, Plot, long_table
from bisnn_pyro.analysis.intervals import mean_interval
from bisnn_pyro.analysis.validation import FloatArray, as_real
from bisnn_pyro.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Curves = dict[str, dict[str, np.ndarray]]


def plot_shift(
    severity: ArrayLike,
    scores: Mapping[str, ArrayLike],
    *,
    severity_name: str = "severity of the shift",
    score_name: str = "accuracy",
    level: float = 0.95,
    ax: Axes | None = None,
) -> Plot:
    """A score against the severity of a shift, one curve a method, with intervals over training seeds.

    Args:
        severity: `[V]` ascending, 0 for none.
        scores: method -> `[K, V]`, a training seed a row; an infinite mean is a sign on top.
        severity_name: label of the axis, with the unit.
        score_name: what the score is.
        level: coverage of the Student t intervals of the mean; a single seed has none.
        ax: to draw into; None for a new figure.

    Returns:
        The axes, figure, and a table with one row a method and severity.

    Raises:
        DataError: no method, or an array of a wrong shape or with wrong values.
    """
    values = _ascending(severity, "severity")
    curves = _curves(values, scores, level)
    with canvas(ax, (1, 1), (SINGLE_WIDTH, 2.5)) as page:
        _draw(page, curves, score_name)
        page.axes[0].set_xlabel(severity_name)
    return page.plot(long_table(curves, "method"))


def plot_sweep(
    values: ArrayLike,
    scores: Mapping[str, ArrayLike],
    *,
    value_name: str = "weight of the KL",
    score_name: str = "NLL (nats)",
    reference: float | None = 1.0,
    level: float = 0.95,
    ax: Axes | None = None,
) -> Plot:
    """A score against a positive hyperparameter on a logarithmic axis, with intervals over training seeds.

    Args:
        values: `[V]` ascending, above 0: temperatures, or weights of the KL.
        scores: predictor -> `[K, V]`, a training seed a row; an infinite mean is a sign on top.
        value_name: label of the axis.
        score_name: what the score is.
        reference: a value to mark by a line, 1 being Bayes' rule as it stands; None for none.
        level: coverage of the Student t intervals of the mean; a single seed has none.
        ax: to draw into; None for a new figure.

    Returns:
        The axes, figure, and a table with one row a predictor and value.

    Raises:
        DataError: no predictor, or an array of a wrong shape or with wrong values.
    """
    array = _ascending(values, "values")
    if array[0] <= 0:
        raise DataError(f"values begin with {array[0]:g}; a logarithmic axis needs numbers above 0.")
    curves = _curves(array, scores, level)
    with canvas(ax, (1, 1), (SINGLE_WIDTH, 2.5)) as page:
        (ax,) = page.axes
        ax.set_xscale("log")
        if reference is not None:
            ax.axvline(reference, color="0.6", linestyle="-", linewidth=0.8, zorder=1)
        _draw(page, curves, score_name)
        ax.set_xlabel(value_name)
    return page.plot(long_table(curves, "predictor"))


def _ascending(values: ArrayLike, name: str) -> FloatArray:
    array = as_real(values, name, 1)
    if (np.diff(array) <= 0).any():
        raise DataError(f"{name} (shape {array.shape}) must ascend, each value once.")
    return array


def _curves(x: FloatArray, scores: Mapping[str, ArrayLike], level: float) -> Curves:
    if not scores:
        raise DataError("The figure has nothing to show; give at least one row of scores.")
    curves: Curves = {}
    for name, values in scores.items():
        array = as_real(values, f"the scores of {name}", 2, finite=False)
        if array.shape[1] != len(x):
            raise DataError(f"The scores of {name} have shape {array.shape}; expected [K, {len(x)}].")
        intervals = [mean_interval(column, level) for column in array.T]
        curves[name] = {
            "x": x,
            "mean": np.array([interval.mean for interval in intervals]),
            "low": np.array([interval.low for interval in intervals]),
            "high": np.array([interval.high for interval in intervals]),
            "n_seeds": np.full(len(x), len(array)),
        }
    return curves


def _draw(page: Canvas, curves: Curves, score_name: str) -> None:
    (ax,) = page.axes
    for index, (name, curve) in enumerate(curves.items()):
        parts = (curve[key] for key in ("x", "mean", "low", "high"))
        draw_interval_curve(ax, index, len(curves), name, *parts)
    seeds = sorted({int(curve["n_seeds"][0]) for curve in curves.values()})
    noun = "seed" if seeds == [1] else "seeds"
    ax.set_ylabel(f"{score_name}, {' or '.join(map(str, seeds))} {noun}")
    page.legend(2)
