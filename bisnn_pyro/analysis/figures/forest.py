"""Predictors put side by side: a dot and an interval a predictor, a panel a score (a forest plot)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.figures.canvas import canvas
from bisnn_pyro.analysis.figures.style import DOUBLE_WIDTH, SINGLE_WIDTH, Plot, color, long_table
from bisnn_pyro.analysis.intervals import mean_interval
from bisnn_pyro.analysis.validation import as_real
from bisnn_pyro.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Score -> what its axis says.
PANELS = {"accuracy": "accuracy", "nll": "NLL (nats)", "ece": "ECE"}


def plot_forest(
    scores: Mapping[str, Mapping[str, ArrayLike]],
    panels: Mapping[str, str] | None = None,
    *,
    level: float = 0.95,
    axes: Sequence[Axes] | None = None,
) -> Plot:
    """One panel a score, one line a predictor: mean, Student t interval, and each seed as a hollow dot below.

    Intervals that overlap do not say that two predictors agree: seeds are paired, and the difference has
    an interval of its own (:func:`~bisnn_pyro.analysis.paired_difference`).

    Args:
        scores: predictor -> score -> `[K]`, one value a training seed; a predictor may lack a score.
        panels: score -> label; accuracy, NLL and ECE where None.
        level: coverage of the intervals; a single seed has none.
        axes: one for each panel; None for a new figure.

    Returns:
        The axes, figure, and a table with one row a score and predictor.

    Raises:
        DataError: no predictor, a score that none has, or an array of a wrong shape or with NaN.
    """
    shown = PANELS if panels is None else panels
    missing = [column for column in shown if not any(column in row for row in scores.values())]
    if not scores or not shown or missing:
        lacking = f" No predictor has {missing[0]!r}." if missing and scores else ""
        raise DataError(f"The figure has nothing to show; give at least one predictor and score.{lacking}")
    tables: dict[str, dict[str, np.ndarray]] = {}
    width = SINGLE_WIDTH if len(shown) == 1 else DOUBLE_WIDTH
    with canvas(axes, (1, len(shown)), (width, 0.7 + 0.24 * len(scores))) as page:
        for k, (ax, (column, label)) in enumerate(zip(page.axes, shown.items(), strict=True)):
            tables[column] = _draw(ax, {n: row.get(column) for n, row in scores.items()}, level)
            ax.set_xlabel(label)
            ax.set_yticks(range(len(scores)), list(scores) if k == 0 else [""] * len(scores))
            ax.set_ylim(len(scores) - 0.5, -0.5)  # the first predictor on top
            ax.tick_params(axis="y", length=0)
            ax.locator_params(axis="x", nbins=5)
            ax.grid(axis="y", color="0.9", linewidth=0.6)
    return page.plot(long_table(tables, "score"))


def _draw(ax: Axes, values: Mapping[str, ArrayLike | None], level: float) -> dict[str, np.ndarray]:
    rows = []
    for k, (name, given) in enumerate(values.items()):
        if given is None:
            continue
        seeds = as_real(given, f"the scores of {name}", 1, finite=False)
        interval = mean_interval(seeds, level)
        rows.append((name, interval.mean, interval.low, interval.high, interval.n))
        finite = seeds[np.isfinite(seeds)]
        ax.plot(finite, np.full(len(finite), k + 0.25), "o", color="0.5", fillstyle="none", markersize=2.5)
        if not np.isfinite(interval.mean):
            ax.text(
                0.98, k, "infinite", transform=ax.get_yaxis_transform(), ha="right", va="center", fontsize=7
            )
            continue
        bar = None if np.isnan(interval.half_width) else interval.half_width
        ax.errorbar(
            [interval.mean], [k], xerr=bar, fmt="D", color=color(0), capsize=2, markersize=4, zorder=3
        )
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    names = ("predictor", "mean", "low", "high", "n_seeds")
    table = dict(zip(names, columns, strict=True))
    table["predictor"] = table["predictor"].astype(object)
    return table
