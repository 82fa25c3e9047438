"""Histograms of a score of uncertainty, for inputs from inside and from outside the data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.figures.canvas import canvas
from bisnn_pyro.analysis.figures.marks import draw_histogram
from bisnn_pyro.analysis.figures.style import SINGLE_WIDTH, Plot
from bisnn_pyro.analysis.validation import as_real
from bisnn_pyro.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_score_histogram(
    groups: Mapping[str, ArrayLike],
    score_name: str = "predictive entropy (nats)",
    *,
    n_bins: int = 30,
    ax: Axes | None = None,
) -> Plot:
    """Distribution of a score in each group of inputs, as shares of the group, over one another.

    Args:
        groups: name -> scores `[N]`; two or three groups are told apart well, such as a test set and
            inputs from outside, or right and wrong predictions.
        score_name: label of the axis, with the unit.
        n_bins: bins between the least and the greatest score of all.
        ax: to draw into; None for a new figure.

    Returns:
        The axes, figure, and a table with one row a bin: its edges and the share of each group.

    Raises:
        DataError: no group, an array of a wrong shape or with wrong values, or no bins.
    """
    values = {name: as_real(scores, f"the scores of {name}", 1) for name, scores in groups.items()}
    if not values or n_bins < 1:
        raise DataError("The figure has nothing to show; give at least one group of scores, and one bin.")
    low = min(scores.min() for scores in values.values())
    high = max(scores.max() for scores in values.values())
    edges = np.linspace(low, high if high > low else low + 1.0, n_bins + 1)
    table = {"edge_low": edges[:-1], "edge_high": edges[1:]}
    with canvas(ax, (1, 1), (SINGLE_WIDTH, 2.3)) as page:
        (ax,) = page.axes
        for index, (name, scores) in enumerate(values.items()):
            table[name] = draw_histogram(ax, index, scores, edges, f"{name} (n = {len(scores)})")
        ax.set(xlabel=score_name, ylabel="share of inputs", xlim=(edges[0], edges[-1]))
        page.legend(min(len(values), 2))
    return page.plot(table)
