"""What an inference costs each predictor: spikes, synaptic operations, bits of weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bisnn_pyro.analysis.figures.canvas import canvas
from bisnn_pyro.analysis.figures.style import DOUBLE_WIDTH, Plot, fill_style, long_table
from bisnn_pyro.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Column -> what its axis says.
PANELS = {
    "spikes": "spikes",
    "synaptic_ops": "synaptic operations",
    "weight_bits": "bits of weights",
}
#: A panel goes logarithmic when its values span more than this factor.
LOG_FROM = 30.0


def plot_cost_bars(
    costs: Mapping[str, Mapping[str, float | None]],
    panels: Mapping[str, str] | None = None,
    *,
    axes: Sequence[Axes] | None = None,
) -> Plot:
    """One panel a quantity, one bar a predictor with its value at the end; a dash stands for no value.

    On a logarithmic axis, which says so, the length of a bar means nothing: read where it ends.

    Args:
        costs: predictor -> quantity -> cost of one inference; None or NaN where there is none.
        panels: quantity -> label; spikes, synaptic operations and bits of weights where None.
        axes: one for each panel; None for a new figure.

    Returns:
        The axes, figure, and a table with one row a predictor, NaN where there is no value.

    Raises:
        DataError: no predictor or panel, or a value that is negative or infinite.
    """
    shown = PANELS if panels is None else panels
    if not costs or not shown:
        raise DataError("The figure has nothing to show; give at least one predictor and one quantity.")
    table = {
        column: np.array([_number(name, column, row.get(column)) for name, row in costs.items()])
        for column in shown
    }
    size = (DOUBLE_WIDTH, 0.6 + 0.22 * len(costs))
    with canvas(axes, (1, len(shown)), size) as page:
        for k, (ax, (column, label)) in enumerate(zip(page.axes, shown.items(), strict=True)):
            _draw(ax, table[column], label)
            ax.set_yticks(range(len(costs)), list(costs) if k == 0 else [""] * len(costs))
    names = {name: {c: table[c][[i]] for c in shown} for i, name in enumerate(costs)}
    return page.plot(long_table(names, "predictor"))


def _number(name: str, column: str, value: float | None) -> float:
    number = np.nan if value is None else float(value)
    if number < 0 or np.isinf(number):
        raise DataError(f"{column} of {name} is {value!r}; expected a finite number of at least 0.")
    return number


def _draw(ax: Axes, values: np.ndarray, label: str) -> None:
    there = np.flatnonzero(np.isfinite(values))
    positive = values[there][values[there] > 0]
    log = bool(positive.size) and len(positive) == len(there) and np.ptp(np.log(positive)) > np.log(LOG_FROM)
    ax.barh(there, values[there], 0.65, **fill_style(4) | {"hatch": ""})
    top = float(positive.max()) if positive.size else 1.0
    low = 0.5 * float(positive.min()) if log else 0.0
    # Room for the numbers at the ends of the bars.
    ax.set_xlim(low, top * (top / low) ** 0.55 if log else 1.5 * top)
    if log:
        ax.set_xscale("log")
    for k, value in enumerate(values):
        text = _short(value) if np.isfinite(value) else "–"
        place = (value if np.isfinite(value) else low, k)
        ax.annotate(text, place, (3, 0), textcoords="offset points", va="center", fontsize=7)
    ax.set_xlabel(f"{label} (log scale)" if log else label)
    ax.set_ylim(len(values) - 0.4, -0.6)  # the first predictor on top
    ax.tick_params(axis="y", length=0)
    ax.spines[["top", "right"]].set_visible(False)


def _short(value: float) -> str:
    """Three digits, with k, M or G for thousands."""
    for factor, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= factor:
            return f"{value / factor:.3g}{unit}"
    return f"{value:.3g}"
