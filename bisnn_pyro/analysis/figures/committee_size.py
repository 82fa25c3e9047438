"""Scores of committees against their size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.figures.canvas import canvas
from bisnn_pyro.analysis.figures.marks import draw_interval_curve
from bisnn_pyro.analysis.figures.style import DOUBLE_WIDTH, SINGLE_WIDTH, Plot, long_table
from bisnn_pyro.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAMES = {"accuracy": "accuracy", "nll": "NLL (nats)", "brier": "Brier score", "ece": "ECE"}


def plot_committee_size(
    curves: Mapping[str, Mapping[str, ArrayLike]],
    scores: Sequence[str] = ("nll", "ece"),
    *,
    axes: Sequence[Axes] | None = None,
) -> Plot:
    """One panel a score: its mean over random committees of k members, with the range of 95 % of them.

    Args:
        curves: method -> columns of :func:`~bisnn_pyro.analysis.committee_size_scores`.
        scores: which of them: ``accuracy``, ``nll``, ``brier``, ``ece``.
        axes: one for each score; None for a new figure.

    Returns:
        The axes, figure, and a table with one row a method and size.

    Raises:
        DataError: no method or score, or columns that are missing.
    """
    from matplotlib.ticker import NullLocator

    if not curves or not scores:
        raise DataError("The figure has nothing to show; give at least one method and one score.")
    for name, columns in curves.items():
        needed = ("size", *(f"{s}{end}" for s in scores for end in ("", "_low", "_high")))
        missing = [column for column in needed if column not in columns]
        if missing:
            raise DataError(f"The method {name!r} lacks the column {missing[0]!r}.")
    width = SINGLE_WIDTH if len(scores) == 1 else DOUBLE_WIDTH
    sizes = sorted({int(size) for columns in curves.values() for size in np.asarray(columns["size"])})
    with canvas(axes, (1, len(scores)), (width, 2.4)) as page:
        for ax, score in zip(page.axes, scores, strict=True):
            ax.set_xscale("log")
            for index, (name, columns) in enumerate(curves.items()):
                keys = ("size", score, f"{score}_low", f"{score}_high")
                parts = (np.asarray(columns[key], dtype=np.float64) for key in keys)
                draw_interval_curve(ax, index, len(curves), name, *parts)
            ax.set_xticks(sizes, [str(size) for size in sizes])
            ax.xaxis.set_minor_locator(NullLocator())
            ax.set(xlabel="members of the committee", ylabel=NAMES.get(score, score))
        page.legend(min(len(curves), 3 if len(scores) > 1 else 2))
    return page.plot(long_table(curves, "method"))
