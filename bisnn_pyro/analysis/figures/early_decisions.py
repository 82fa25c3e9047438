"""Early decisions as curves: scores over elapsed time, and what stopping when sure costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.figures.canvas import canvas
from bisnn_pyro.analysis.figures.style import DOUBLE_WIDTH, SINGLE_WIDTH, Plot, line_style, long_table
from bisnn_pyro.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Curves = Mapping[str, Mapping[str, ArrayLike]]

#: Column of the scores -> what its axis says.
EARLY_PANELS = {"accuracy": "accuracy", "nll": "NLL (nats)", "ece": "ECE"}


def plot_early_decisions(scores: Curves, *, axes: Sequence[Axes] | None = None) -> Plot:
    """Accuracy, NLL and calibration error against elapsed time, one line a predictor.

    Infinite scores (a probability of 0 at the right class) are left out of the picture, not of the table.

    Args:
        scores: predictor -> columns of :func:`~bisnn_pyro.analysis.early_scores`.
        axes: three to draw into; None for a new figure.

    Returns:
        The axes, figure, and a table with one row a predictor and number of steps.

    Raises:
        DataError: no predictor, or one without the columns.
    """
    horizontal, unit = _time(scores, "", (*EARLY_PANELS, "n"))
    with canvas(axes, (1, len(EARLY_PANELS)), (DOUBLE_WIDTH, 2.4)) as page:
        for ax, (column, name) in zip(page.axes, EARLY_PANELS.items(), strict=True):
            _draw(ax, scores, horizontal, column)
            ax.set(xlabel=f"elapsed time ({unit})", ylabel=name)
            ax.set_xlim(left=0)
        page.axes[0].set_ylabel(f"accuracy (n = {_counts(scores)})")
        page.axes[2].set_ylim(bottom=0)
        page.legend(min(len(scores), 3))
    return page.plot(long_table(scores, "predictor"))


def plot_early_stopping(curves: Curves, *, ax: Axes | None = None) -> Plot:
    """Accuracy against the mean time at which a predictor stops, one point a confidence threshold.

    Args:
        curves: predictor -> columns of :func:`~bisnn_pyro.analysis.early_stopping`.
        ax: to draw into; None for a new figure.

    Returns:
        The axes, figure, and a table with one row a predictor and threshold.

    Raises:
        DataError: no predictor, or one without the columns.
    """
    horizontal, unit = _time(curves, "mean_", ("accuracy", "n"))
    with canvas(ax, (1, 1), (SINGLE_WIDTH, 2.6)) as page:
        ax = page.axes[0]
        _draw(ax, curves, horizontal, "accuracy")
        ax.set(xlabel=f"mean time at the decision ({unit})", ylabel=f"accuracy (n = {_counts(curves)})")
        ax.set_xlim(left=0)
        page.legend(min(len(curves), 2))
    return page.plot(long_table(curves, "predictor"))


def _time(curves: Curves, prefix: str, others: tuple[str, ...]) -> tuple[str, str]:
    """Return the column of times, milliseconds where all have them, and its unit; check the columns."""
    if not curves:
        raise DataError("The figure has nothing to show; give at least one predictor.")
    for name, columns in curves.items():
        missing = [column for column in (f"{prefix}step", *others) if column not in columns]
        if missing:
            raise DataError(f"The predictor {name!r} lacks the column {missing[0]!r}.")
    if all(f"{prefix}time_ms" in columns for columns in curves.values()):
        return f"{prefix}time_ms", "ms"
    return f"{prefix}step", "steps"


def _counts(curves: Curves) -> str:
    """Return the number of points behind the curves; of a committee and its mode it is the same."""
    counts = {int(n) for columns in curves.values() for n in np.unique(np.asarray(columns["n"]))}
    return " or ".join(map(str, sorted(counts)))


def _draw(ax: Axes, curves: Curves, horizontal: str, column: str) -> None:
    for index, (name, columns) in enumerate(curves.items()):
        x, y = (np.asarray(columns[key], dtype=np.float64) for key in (horizontal, column))
        shown = np.isfinite(y)
        # A few markers tell the lines apart; on every step they would hide them.
        every = max(1, int(shown.sum()) // 12)
        ax.plot(x[shown], y[shown], label=name, markevery=every, **line_style(index))
