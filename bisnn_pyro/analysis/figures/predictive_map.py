"""Maps over a plane of inputs: what each predictor says, and where a committee does not know."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.figures.style import (
    DOUBLE_WIDTH,
    PROBABILITY_MAP,
    SINGLE_WIDTH,
    UNCERTAINTY_MAP,
    Plot,
    grid_shape,
    new_figure,
    paper_style,
)
from bisnn_pyro.analysis.validation import FloatArray, IntArray, as_labels, as_real
from bisnn_pyro.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_COLUMNS = 4
#: Shade of the two classes' markers: each has an edge in the other's, so that it shows on any ground.
_MARKERS: tuple[dict[str, Any], ...] = (
    {"marker": "o", "facecolors": "white", "edgecolors": "black"},
    {"marker": "^", "facecolors": "black", "edgecolors": "white"},
)


def plot_predictive_map(
    x1: ArrayLike,
    x2: ArrayLike,
    panels: Mapping[str, ArrayLike],
    points: ArrayLike,
    labels: ArrayLike,
    *,
    epistemic: Collection[str] = (),
    class_names: tuple[str, str] = ("class 0", "class 1"),
    axis_names: tuple[str, str] = ("$x_1$", "$x_2$"),
) -> Plot:
    """One map a panel, with the training points and the decision contour at 0.5.

    Panels of probabilities share one colour bar from 0 to 1; epistemic panels share another, from 0 to
    their largest value.

    Args:
        x1: `[W]` grid along the horizontal axis, ascending and evenly spaced.
        x2: `[H]` grid along the vertical axis, ascending and evenly spaced.
        panels: title -> `[H, W]`, the probability of class 1, or mutual information in nats.
        points: `[N, 2]` training inputs.
        labels: `[N]` their classes, 0 or 1.
        epistemic: titles of the panels that hold mutual information.
        class_names: what the legend calls the classes.
        axis_names: labels of the axes.

    Returns:
        The figure, and a table of the grid: ``x1``, ``x2`` and one column a panel.

    Raises:
        DataError: a wrong shape or value, or an epistemic title that is no panel.
    """
    from matplotlib.ticker import MaxNLocator

    horizontal, vertical = as_real(x1, "x1", 1), as_real(x2, "x2", 1)
    grids = {name: as_real(values, name, 2) for name, values in panels.items()}
    _check(grids, epistemic, (len(vertical), len(horizontal)))
    train, classes = _training_points(points, labels)
    top = max((float(grids[name].max()) for name in epistemic), default=0.0) or 1e-3
    rows, columns = grid_shape(len(grids), MAX_COLUMNS)
    with paper_style():
        width = DOUBLE_WIDTH if columns > 1 else SINGLE_WIDTH
        page = _Page(width, rows, columns)
        images: dict[bool, Any] = {}
        for k, (name, grid) in enumerate(grids.items()):
            ax = page.panel(k)
            uncertain = name in epistemic
            images[uncertain] = _draw_map(ax, horizontal, vertical, grid, uncertain, top)
            _draw_points(ax, train, classes, class_names)
            ax.set(title=name, xlabel=axis_names[0], ylabel="" if k % columns else axis_names[1])
            ax.tick_params(labelleft=k % columns == 0)
            ax.set_xticks(_ticks(horizontal))
            ax.set_yticks(_ticks(vertical))
        titles = {False: f"probability of {class_names[1]}", True: "mutual information (nats)"}
        for k, (uncertain, image) in enumerate(sorted(images.items())):
            cax = page.bar(k, len(images))
            bar = page.figure.colorbar(image, cax=cax, orientation="horizontal", label=titles[uncertain])
            bar.locator = MaxNLocator(5)
            bar.outline.set_linewidth(0.6)
        handles, names = page.figure.axes[0].get_legend_handles_labels()
        page.figure.legend(handles, names, loc="upper center", ncols=2, markerscale=1.8, borderaxespad=0.2)
    mesh1, mesh2 = np.meshgrid(horizontal, vertical)
    table = {"x1": mesh1.ravel(), "x2": mesh2.ravel(), **{name: grid.ravel() for name, grid in grids.items()}}
    return Plot(page.figure, table, tuple(page.figure.axes))


class _Page:
    """Where the panels and bars stand, in inches: square panels, the bars in a row of their own below.

    Matplotlib's own layout engines either let two shared bars collide or squeeze unequal panels.
    """

    left, right, gap = 0.6, 0.15, 0.14
    legend, title, below = 0.2, 0.24, 0.46
    bar_height, bar_labels = 0.09, 0.38

    def __init__(self, width: float, rows: int, columns: int) -> None:
        self.columns, self.width = columns, width
        self.side = (width - self.left - self.right - (columns - 1) * self.gap) / columns
        self.row = self.title + self.side + self.below
        self.height = self.legend + rows * self.row + self.bar_height + self.bar_labels
        self.figure = new_figure(width, self.height, layout=None)

    def panel(self, k: int) -> Axes:
        """Axes of the panel number `k`, row by row."""
        row, column = divmod(k, self.columns)
        bottom = self.height - self.legend - row * self.row - self.title - self.side
        return self._axes(self.left + column * (self.side + self.gap), bottom, self.side, self.side)

    def bar(self, k: int, n: int) -> Axes:
        """Axes of the colour bar number `k` of `n`."""
        share = (self.width - self.left - self.right) / n
        return self._axes(self.left + (k + 0.1) * share, self.bar_labels, 0.8 * share, self.bar_height)

    def _axes(self, left: float, bottom: float, width: float, height: float) -> Axes:
        box = (left / self.width, bottom / self.height, width / self.width, height / self.height)
        return self.figure.add_axes(box)


def _check(grids: Mapping[str, FloatArray], epistemic: Collection[str], shape: tuple[int, int]) -> None:
    for name, grid in grids.items():
        if grid.shape != shape:
            raise DataError(f"Panel {name!r} has shape {grid.shape}; expected {shape}, len(x2) by len(x1).")
        if name not in epistemic and (grid.min() < 0 or grid.max() > 1 + 1e-4):
            raise DataError(
                f"Panel {name!r} has values in [{grid.min():g}, {grid.max():g}]; expected probabilities, "
                "or its title among `epistemic`."
            )
    unknown = set(epistemic) - set(grids)
    if unknown:
        raise DataError(f"epistemic names {sorted(unknown)}, which are not among the panels {list(grids)}.")


def _training_points(points: ArrayLike, labels: ArrayLike) -> tuple[FloatArray, IntArray]:
    train = as_real(points, "points", 2)
    if train.shape[1] != 2:
        raise DataError(f"points has shape {train.shape}; expected [N, 2].")
    return train, as_labels(labels, len(train), 2)


def _ticks(axis: FloatArray) -> FloatArray:
    """Three ticks off the corners, where the labels of neighbouring panels would touch."""
    return axis[0] + (axis[-1] - axis[0]) * np.array([0.25, 0.5, 0.75])


def _draw_map(ax: Axes, x1: FloatArray, x2: FloatArray, grid: FloatArray, uncertain: bool, top: float) -> Any:
    # Cells are centred on their grid points.
    dx, dy = (x1[-1] - x1[0]) / (2 * len(x1) - 2), (x2[-1] - x2[0]) / (2 * len(x2) - 2)
    image = ax.imshow(
        grid,
        origin="lower",
        extent=(x1[0] - dx, x1[-1] + dx, x2[0] - dy, x2[-1] + dy),
        aspect="auto",
        cmap=UNCERTAINTY_MAP if uncertain else PROBABILITY_MAP,
        vmin=0.0,
        vmax=top if uncertain else 1.0,
        interpolation="nearest",
    )
    if not uncertain and grid.min() < 0.5 < grid.max():
        ax.contour(x1, x2, grid, levels=[0.5], colors="white", linewidths=1.0)
    return image


def _draw_points(ax: Axes, points: FloatArray, labels: IntArray, names: tuple[str, str]) -> None:
    # Small marks for many points, so that they do not hide the map.
    size = float(np.clip(900 / len(points), 5, 14))
    for k, marks in enumerate(_MARKERS):
        chosen = points[labels == k]
        name = f"{names[k]} (n = {len(chosen)})"
        ax.scatter(chosen[:, 0], chosen[:, 1], s=size, linewidths=0.4, label=name, zorder=3, **marks)
