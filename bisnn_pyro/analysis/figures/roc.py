"""ROC curves of telling inputs from outside the data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.figures.canvas import canvas
from bisnn_pyro.analysis.figures.style import SINGLE_WIDTH, Plot, line_style, long_table
from bisnn_pyro.analysis.uncertainty.detection import auroc, roc_curve
from bisnn_pyro.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_roc(scores: Mapping[str, tuple[ArrayLike, ArrayLike]], *, ax: Axes | None = None) -> Plot:
    """Share of inputs from outside that are flagged against the share of good ones, one curve a score.

    Args:
        scores: name -> (inside `[N]`, outside `[M]`), higher for inputs that look further outside.
        ax: to draw into; None for a new figure.

    Returns:
        The axes, figure, and a table with one row a score and threshold.

    Raises:
        DataError: no score, or an array of a wrong shape or with wrong values.
    """
    if not scores:
        raise DataError("The figure has nothing to show; give at least one score.")
    tables: dict[str, dict[str, np.ndarray]] = {}
    with canvas(ax, (1, 1), (SINGLE_WIDTH, 2.9 + 0.15 * len(scores))) as page:
        (ax,) = page.axes
        ax.plot([0, 1], [0, 1], color="0.45", linestyle=":", linewidth=0.8, zorder=1)
        for index, (name, pair) in enumerate(scores.items()):
            curve, area = roc_curve(*pair), auroc(*pair)
            label = f"{name} (AUROC {area:.3f})"
            # Marks evenly along the curve, not by threshold, of which most may lie in a corner.
            ax.plot(curve.fpr, curve.tpr, label=label, markevery=0.12, **line_style(index))
            columns = {"threshold": curve.threshold, "fpr": curve.fpr, "tpr": curve.tpr}
            tables[name] = {**columns, "auroc": np.full(len(curve.fpr), area)}
        n_inside, n_outside = (_counts(scores, side) for side in (0, 1))
        ax.set_xlabel(f"share of inside inputs flagged (n = {n_inside})")
        ax.set_ylabel(f"share of outside inputs flagged (n = {n_outside})")
        ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        page.legend(1)
    return page.plot(long_table(tables, "score"))


def _counts(scores: Mapping[str, tuple[ArrayLike, ArrayLike]], side: int) -> str:
    return " or ".join(map(str, sorted({np.size(pair[side]) for pair in scores.values()})))
