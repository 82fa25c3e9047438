"""How much each layer has learned: KL and share of undecided synapses as bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bisnn_pyro.analysis.figures.canvas import canvas
from bisnn_pyro.analysis.figures.marks import draw_grouped_bars
from bisnn_pyro.analysis.figures.style import DOUBLE_WIDTH, Plot, long_table
from bisnn_pyro.analysis.posterior.synapses import LayerPosterior
from bisnn_pyro.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Column of :meth:`LayerPosterior.row` -> what its axis says.
PANELS = {"kl_per_synapse": "KL to the prior (nats a synapse)", "undecided": "share of undecided synapses"}


def plot_posterior_bars(
    runs: Mapping[str, Mapping[str, LayerPosterior]], *, axes: Sequence[Axes] | None = None
) -> Plot:
    """Two panels, KL a synapse and undecided share, with a group of bars a layer and a bar a run.

    A fair prior bounds the KL of a synapse by log 2, about 0.69 nats: then its sign is fixed.

    Args:
        runs: name -> layer -> :class:`~bisnn_pyro.analysis.LayerPosterior`; a run may lack a layer.
        axes: two to draw into; None for a new figure.

    Returns:
        The axes, figure, and a table with one row a run and layer.

    Raises:
        DataError: no run or layer.
    """
    layers = list(dict.fromkeys(layer for run in runs.values() for layer in run))
    if not layers:
        raise DataError("The figure has nothing to show; give at least one run with a layer.")
    with canvas(axes, (1, len(PANELS)), (DOUBLE_WIDTH, 2.3)) as page:
        for ax, (column, label) in zip(page.axes, PANELS.items(), strict=True):
            heights = {
                name: [run[layer].row()[column] if layer in run else np.nan for layer in layers]
                for name, run in runs.items()
            }
            draw_grouped_bars(ax, layers, heights)
            ax.set_ylabel(label)
        page.axes[1].set_ylim(0, 1)
        if len(runs) > 1:
            page.legend(min(len(runs), 4))
    return page.plot(long_table({name: _columns(run) for name, run in runs.items()}, "run"))


def _columns(run: Mapping[str, LayerPosterior]) -> dict[str, np.ndarray]:
    rows = [layer.row() for layer in run.values()]
    numbers = {key: np.array([row[key] for row in rows]) for key in (rows[0] if rows else ())}
    return {"layer": np.array(list(run), dtype=object), **numbers}
