"""Spike rasters: which unit fired at which step, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.figures.canvas import canvas
from bisnn_pyro.analysis.figures.style import SINGLE_WIDTH, Plot, long_table
from bisnn_pyro.analysis.posterior.spikes import as_spikes
from bisnn_pyro.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_spike_raster(
    layers: Mapping[str, ArrayLike], *, step_ms: float | None = None, axes: Sequence[Axes] | None = None
) -> Plot:
    """One panel a layer, over a common axis of time; a stroke is a spike.

    Args:
        layers: name -> `[T, U]`, 0 or 1, one example; the same T for all.
        step_ms: length of a step, for an axis in milliseconds; None for steps.
        axes: one for each layer, top to bottom; None for a new figure.

    Returns:
        The axes, figure, and a table with one row a spike: ``layer``, ``step``, ``unit``.

    Raises:
        DataError: no layer, arrays of a wrong shape or with other values, or unequal T.
    """
    from matplotlib.ticker import MaxNLocator

    trains = {name: as_spikes(np.asarray(spikes)[:, None], name)[:, 0] for name, spikes in layers.items()}
    lengths = {len(train) for train in trains.values()}
    if len(lengths) != 1:
        raise DataError(f"The layers have {sorted(lengths)} steps; expected one number, of at least a layer.")
    (n_steps,) = lengths
    unit, factor = ("steps", 1.0) if step_ms is None else ("ms", step_ms)
    heights = [max(train.shape[1], 8) ** 0.5 for train in trains.values()]
    size = (SINGLE_WIDTH, 0.5 + 0.14 * sum(heights) + 0.25 * len(trains))
    tables: dict[str, dict[str, np.ndarray]] = {}
    with canvas(axes, (len(trains), 1), size, sharex=True, height_ratios=heights) as page:
        for ax, (name, train) in zip(page.axes, trains.items(), strict=True):
            step, fired = np.nonzero(train)
            ax.vlines(factor * (step + 0.5), fired - 0.4, fired + 0.4, color="black", linewidth=0.7)
            n_units = train.shape[1]
            ax.set_title(f"{name}: {n_units} units, {len(step) / train.size:.3f} spikes a unit and step")
            ax.set(ylim=(n_units - 0.5, -0.5), xlim=(0, factor * n_steps), ylabel="unit")
            ax.yaxis.set_major_locator(MaxNLocator(3, integer=True))
            tables[name] = {"step": step, "unit": fired}
        page.axes[-1].set_xlabel(f"time ({unit})")
    return page.plot(long_table(tables, "layer"))
