"""What a committee's uncertainty is made of, for right and for wrong predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.calibration.bins import top_label
from bisnn_pyro.analysis.figures.canvas import canvas
from bisnn_pyro.analysis.figures.marks import draw_histogram
from bisnn_pyro.analysis.figures.style import DOUBLE_WIDTH, Plot, long_table
from bisnn_pyro.analysis.uncertainty.entropy import expected_entropy, mutual_information
from bisnn_pyro.analysis.validation import as_probabilities
from bisnn_pyro.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Column -> what its axis says.
PANELS = {
    "expected_entropy": "expected entropy (nats)",
    "mutual_information": "mutual information (nats)",
}


def plot_entropy_split(
    draws: ArrayLike, labels: ArrayLike, *, n_bins: int = 25, axes: Sequence[Axes] | None = None
) -> Plot:
    """Histograms of expected entropy and mutual information, right predictions and wrong ones apart.

    Their sum is the entropy of the committee's vote.  Each histogram is in shares of its group, as the
    wrong predictions are few; the legend gives their numbers.  A panel's axis ends at its largest value.

    Args:
        draws: `[S, N, C]` probabilities, a member a row.
        labels: `[N]` in 0..C-1.
        n_bins: bins of each panel.
        axes: two to draw into; None for a new figure.

    Returns:
        The axes, figure, and a table with one row a panel and bin: edges and the share of both groups,
        NaN of a group without points.

    Raises:
        DataError: an array of a wrong shape or with wrong values, or no bins.
    """
    votes = as_probabilities(draws, "draws", 3)
    if n_bins < 1:
        raise DataError(f"n_bins is {n_bins}; expected at least 1.")
    _, correct = top_label(votes.mean(0), labels)
    parts = {"expected_entropy": expected_entropy(votes), "mutual_information": mutual_information(votes)}
    tables: dict[str, dict[str, np.ndarray]] = {}
    with canvas(axes, (1, 2), (DOUBLE_WIDTH, 2.3)) as page:
        for ax, (column, label) in zip(page.axes, PANELS.items(), strict=True):
            values = parts[column]
            edges = np.linspace(0.0, float(values.max()) or 1.0, n_bins + 1)
            tables[column] = {"edge_low": edges[:-1], "edge_high": edges[1:]}
            for index, (name, group) in enumerate({"right": correct, "wrong": ~correct}.items()):
                share = np.full(n_bins, np.nan)
                if group.any():
                    text = f"{name} predictions (n = {int(group.sum())})"
                    share = draw_histogram(ax, index, values[group], edges, text)
                tables[column][f"share_{name}"] = share
            ax.set(xlabel=label, xlim=(0, edges[-1]))
        page.axes[0].set_ylabel("share of predictions")
        page.legend(2)
    return page.plot(long_table(tables, "quantity"))
