"""The posterior of the synapses, layer by layer: natural parameters, KL and undecided synapses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bisnn_pyro.analysis.figures.canvas import canvas, draw_grouped_bars, grid_shape
from bisnn_pyro.analysis.figures.style import DOUBLE_WIDTH, Plot, Table, color, long_table
from bisnn_pyro.analysis.posterior.synapses import LayerPosterior
from bisnn_pyro.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Column of :meth:`LayerPosterior.row` -> label of its axis.
PANELS = {"kl_per_synapse": "KL to the prior (nats per synapse)", "undecided": "share of undecided synapses"}


def plot_natural_parameters(
    layers: Mapping[str, LayerPosterior], *, axes: Sequence[Axes] | None = None
) -> Plot:
    r"""One histogram per layer; the range in which a synapse counts as undecided is shaded.

    In that range :math:`|\tanh\lambda|` is below the layers' threshold, at 1/2 a probability between 1/4 and
    3/4 of either sign.  The outer bins include what lies beyond.

    Args:
        layers: name -> :class:`~bisnn_pyro.analysis.LayerPosterior`, from ``summarise_posterior``.
        axes: one for each place of the grid of panels, at most three in a row; None for a new figure.

    Returns:
        The axes, figure, and a table with one row per layer and bin.

    Raises:
        DataError: no layer.
    """
    rows, columns, width = grid_shape(len(layers))
    with canvas(axes, (rows, columns), (width, 1.9 * rows + 0.3)) as page:
        for k, (name, layer) in enumerate(layers.items()):
            ax = page.axes[k]
            _draw_histogram(ax, layer)
            undecided = f"{100 * layer.undecided:.1f} % undecided"
            ax.set_title(f"{name}: {layer.n_synapses:,} synapses\n{undecided}")
            ax.set_xlabel(r"natural parameter $\lambda$")
            if k % columns == 0:
                ax.set_ylabel("share of synapses")
        page = page.without(range(len(layers), rows * columns))
        page.legend(2)
    tables = {
        name: {"edge_low": layer.edges[:-1], "edge_high": layer.edges[1:], "count": layer.counts}
        for name, layer in layers.items()
    }
    return page.plot(long_table(tables, "layer"))


def plot_posterior_bars(
    runs: Mapping[str, Mapping[str, LayerPosterior]], *, axes: Sequence[Axes] | None = None
) -> Plot:
    """Two panels, KL per synapse and undecided share, with one group of bars per layer and one bar per run.

    A fair prior bounds the KL of a synapse by log 2, about 0.69 nats: then its sign is fixed.

    Args:
        runs: name -> layer -> :class:`~bisnn_pyro.analysis.LayerPosterior`; a run may lack a layer.
        axes: two to draw into; None for a new figure.

    Returns:
        The axes, figure, and a table with one row per run and layer.

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


def _draw_histogram(ax: Axes, layer: LayerPosterior) -> None:
    if layer.threshold < 1:
        reach = float(np.arctanh(layer.threshold))
        label = rf"undecided: $|\tanh\,\lambda|$ < {layer.threshold:g}"
        ax.axvspan(-reach, reach, color="0.88", linewidth=0, label=label, zorder=0)
    share = layer.counts / layer.n_synapses
    ax.stairs(share, layer.edges, fill=True, facecolor=color(0), edgecolor=color(0), linewidth=0.6)
    ax.set_xlim(layer.edges[0], layer.edges[-1])
    ax.set_ylim(bottom=0)


def _columns(run: Mapping[str, LayerPosterior]) -> Table:
    rows = [layer.row() for layer in run.values()]
    numbers = {key: np.array([row[key] for row in rows]) for key in (rows[0] if rows else ())}
    return {"layer": np.array(list(run), dtype=object), **numbers}
