"""Where the natural parameters of binary synapses lie, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bisnn_pyro.analysis.figures.canvas import canvas
from bisnn_pyro.analysis.figures.style import DOUBLE_WIDTH, SINGLE_WIDTH, Plot, color, grid_shape, long_table
from bisnn_pyro.analysis.posterior.synapses import LayerPosterior

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_COLUMNS = 3


def plot_natural_parameters(
    layers: Mapping[str, LayerPosterior], *, axes: Sequence[Axes] | None = None
) -> Plot:
    r"""One histogram a layer, with the stretch shaded in which a synapse counts as undecided.

    That stretch is :math:`|\tanh\lambda|` below the layers' threshold, at 1/2 a probability between 1/4 and
    3/4 of either sign.  The outer bins hold what is beyond.

    Args:
        layers: name -> :class:`~bisnn_pyro.analysis.LayerPosterior`, from ``summarise_posterior``.
        axes: one for each place of the grid of panels, at most three a row; None for a new figure.

    Returns:
        The axes, figure, and a table with one row a layer and bin.

    Raises:
        DataError: no layer.
    """
    rows, columns = grid_shape(len(layers), MAX_COLUMNS)
    width = SINGLE_WIDTH if columns == 1 else DOUBLE_WIDTH
    with canvas(axes, (rows, columns), (width, 1.9 * rows + 0.3)) as page:
        for k, (name, layer) in enumerate(layers.items()):
            ax = page.axes[k]
            _draw(ax, layer)
            undecided = f"{100 * layer.undecided:.1f} % undecided"
            ax.set_title(f"{name}: {layer.n_synapses:,} synapses\n{undecided}")
            ax.set_xlabel(r"natural parameter $\lambda$")
            if k % columns == 0:
                ax.set_ylabel("share of synapses")
        page = page.without(range(len(layers), rows * columns))
        page.legend(2)
    return page.plot(long_table({name: _columns(layer) for name, layer in layers.items()}, "layer"))


def _draw(ax: Axes, layer: LayerPosterior) -> None:
    if layer.threshold < 1:
        reach = float(np.arctanh(layer.threshold))
        label = rf"undecided: $|\tanh\,\lambda|$ < {layer.threshold:g}"
        ax.axvspan(-reach, reach, color="0.88", linewidth=0, label=label, zorder=0)
    share = layer.counts / layer.n_synapses
    ax.stairs(share, layer.edges, fill=True, facecolor=color(0), edgecolor=color(0), linewidth=0.6)
    ax.set_xlim(layer.edges[0], layer.edges[-1])
    ax.set_ylim(bottom=0)


def _columns(layer: LayerPosterior) -> dict[str, np.ndarray]:
    return {"edge_low": layer.edges[:-1], "edge_high": layer.edges[1:], "count": layer.counts}
