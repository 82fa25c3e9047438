"""What happened over the epochs: loss, KL and validation NLL, methods overlaid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.figures.canvas import canvas
from bisnn_pyro.analysis.figures.style import DOUBLE_WIDTH, SINGLE_WIDTH, Plot, line_style, long_table
from bisnn_pyro.analysis.validation import FloatArray
from bisnn_pyro.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Column of the history -> what its axis says.
PANELS: dict[str, str] = {
    # The data term, not the loss: a point estimate's KL is a constant that would dwarf everything.
    "nll": "training loss without KL (nats)",
    "kl": "KL (nats)",
    "val_nll": "validation NLL (nats)",
}
#: A panel of positive values goes logarithmic when they span more than this factor.
LOG_FROM = 30.0


def plot_training_curves(
    histories: Mapping[str, Mapping[str, ArrayLike]],
    panels: Mapping[str, str] | None = None,
    *,
    axes: Sequence[Axes] | None = None,
) -> Plot:
    """One panel a quantity, one line a method.

    Columns that no method has, or that hold nothing finite, get no panel; missing (NaN) epochs are
    bridged, so that a validation every few epochs still shows as a line.

    Args:
        histories: method -> history table, column -> `[E]`; ``epoch`` labels the rows (0, 1, ... without).
        panels: column -> label of the vertical axis; :data:`PANELS` where None.
        axes: one for each panel shown; None for a new figure.

    Returns:
        The axes, figure, and a long table of all number columns (NaN where a method lacks one).

    Raises:
        DataError: no history, columns of unequal length, or nothing to plot.
    """
    from matplotlib.ticker import MaxNLocator

    tables = {name: _numbers(name, history) for name, history in histories.items()}
    shown = {
        column: label
        for column, label in (PANELS if panels is None else panels).items()
        if any(np.isfinite(table.get(column, np.nan)).any() for table in tables.values())
    }
    if not shown:
        raise DataError("The histories hold none of the columns to plot: " + ", ".join(panels or PANELS))
    width = SINGLE_WIDTH if len(shown) == 1 else DOUBLE_WIDTH
    with canvas(axes, (1, len(shown)), (width, 2.4)) as page:
        for ax, (column, label) in zip(page.axes, shown.items(), strict=True):
            _draw(ax, column, tables)
            ax.set_xlabel("epoch")
            ax.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
            ax.set_ylabel(label)
        if len(tables) > 1:
            named = [len(ax.get_legend_handles_labels()[1]) for ax in page.axes]
            page.legend(min(len(tables), 4 if len(shown) > 1 else 2), named.index(max(named)))
    return page.plot(long_table(tables, "method"))


def _draw(ax: Axes, column: str, tables: Mapping[str, Mapping[str, FloatArray]]) -> None:
    seen = []
    for index, (name, table) in enumerate(tables.items()):
        values = table.get(column, np.full(len(table["epoch"]), np.nan))
        finite = np.isfinite(values)
        if not finite.any():
            continue
        x, y = table["epoch"][finite], values[finite]
        # A few markers tell the lines apart; on every epoch they would hide them.
        ax.plot(x, y, label=name, markevery=max(1, len(x) // 8), **line_style(index))
        seen.append(y)
    every = np.concatenate(seen)
    if every.min() > 0 and every.max() / every.min() > LOG_FROM:
        ax.set_yscale("log")


def _numbers(name: str, history: Mapping[str, ArrayLike]) -> dict[str, FloatArray]:
    columns = {key: np.asarray(values) for key, values in history.items()}
    numeric = {key: value.astype(np.float64) for key, value in columns.items() if value.dtype.kind in "biuf"}
    shapes = {key: value.shape for key, value in numeric.items()}
    if not shapes or len(set(shapes.values())) != 1 or len(next(iter(shapes.values()))) != 1:
        raise DataError(f"The history of {name} has columns of shapes {shapes}; expected [E], all as long.")
    length = len(next(iter(numeric.values())))
    return {"epoch": numeric.get("epoch", np.arange(length, dtype=np.float64)), **numeric}
