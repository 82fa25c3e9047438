"""Predictions over the inputs: a regression along its one input, and maps over a plane of two.

Both show where the training data are, and where a committee is uncertain.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.figures.canvas import canvas, grid_shape
from bisnn_pyro.analysis.figures.style import Plot, color, long_table, new_figure, paper_style
from bisnn_pyro.analysis.scores.points import mixture_quantile
from bisnn_pyro.analysis.validation import FloatArray, IntArray, as_labels, as_real, check_level
from bisnn_pyro.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: A stretch of inputs counts as a gap when it is wider than this share of the plotted range.
GAP_SHARE = 0.05
#: Hollow, so that the curve shows through.
_POINTS: dict[str, Any] = {
    "color": "black",
    "markerfacecolor": "white",
    "markeredgewidth": 0.6,
    "markersize": 2.8,
    "zorder": 3,
}
#: Shade of the two classes' markers: each has an edge in the other's, so that it shows on any ground.
_MARKERS: tuple[dict[str, Any], ...] = (
    {"marker": "o", "facecolors": "white", "edgecolors": "black"},
    {"marker": "^", "facecolors": "black", "edgecolors": "white"},
)


def plot_regression_band(
    x: ArrayLike,
    predictors: Mapping[str, tuple[ArrayLike, ArrayLike]],
    x_train: ArrayLike,
    y_train: ArrayLike,
    *,
    y_true: ArrayLike | None = None,
    gaps: Sequence[tuple[float, float]] | None = None,
    level: float = 0.90,
    axis_names: tuple[str, str] = ("$x$", "$y$"),
    axes: Sequence[Axes] | None = None,
) -> Plot:
    """One panel per predictor: training points, true curve, mean, predictive and epistemic band.

    The predictive band is the central `level` interval of the mixture of the members' Gaussians; the
    epistemic band is the same interval of the members' means alone, absent for a single member.

    Args:
        x: `[K]` ascending inputs at which the predictors were evaluated.
        predictors: name -> (means `[S, K]`, noise scale: a number, `[S]` or `[S, K]`).
        x_train: `[N]`.
        y_train: `[N]`.
        y_true: `[K]` the noiseless curve at `x`.
        gaps: stretches (low, high) without training data to shade; None finds them, see :func:`find_gaps`.
        level: coverage of both bands.
        axis_names: labels of the axes.
        axes: one for each place of the grid of panels, at most three in a row; None for a new figure.

    Returns:
        The axes, figure, and a table with one row per input and predictor.

    Raises:
        DataError: no predictor, or an array of a wrong shape or with wrong values.
    """
    check_level(level)
    grid, xs, ys = as_real(x, "x", 1), as_real(x_train, "x_train", 1), as_real(y_train, "y_train", 1)
    if xs.shape != ys.shape:
        raise DataError(f"x_train has shape {xs.shape} but y_train has {ys.shape}; they must agree.")
    truth = None if y_true is None else as_real(y_true, "y_true", 1)
    if truth is not None and truth.shape != grid.shape:
        raise DataError(f"y_true has shape {truth.shape}; expected {grid.shape}, as x has.")
    bands = {name: _band(name, grid, *pair, truth, level) for name, pair in predictors.items()}
    shaded = find_gaps(grid, xs) if gaps is None else list(gaps)
    rows, columns, width = grid_shape(len(bands))
    size = (width, rows * (1.9 if columns > 1 else 2.1) + 0.5)
    with canvas(axes, (rows, columns), size, sharex=True, sharey=True) as page:
        for ax, (name, band) in zip(page.axes, bands.items(), strict=False):
            _draw_gaps(ax, shaded)
            _draw_band(ax, band, level)
            ax.plot(xs, ys, "o", label=f"training points (n = {xs.size})", **_POINTS)
            ax.set_title(name)
            ax.set_xlabel(axis_names[0])
            ax.set_xlim(grid[0], grid[-1])
            ax.locator_params(axis="x", nbins=4)
        for ax in page.axes[::columns]:
            ax.set_ylabel(axis_names[1])
        page = page.without(range(len(bands), rows * columns))
        page.legend(2 if columns == 1 else 3, page.fullest())
    return page.plot(long_table(bands, "predictor"))


def find_gaps(x: ArrayLike, x_train: ArrayLike, share: float = GAP_SHARE) -> list[tuple[float, float]]:
    """Stretches of the range of `x` that hold no training input.

    Args:
        x: `[K]` the plotted inputs.
        x_train: `[N]` training inputs.
        share: how wide a stretch must be, as a share of the range of `x`.

    Returns:
        (low, high) of each stretch, ascending.

    Raises:
        DataError: an array of a wrong shape or with wrong values.
    """
    grid, xs = as_real(x, "x", 1), as_real(x_train, "x_train", 1)
    low, high = float(grid.min()), float(grid.max())
    stops = np.concatenate(([low], np.sort(xs[(xs > low) & (xs < high)]), [high]))
    wide = np.flatnonzero(np.diff(stops) > share * (high - low))
    return [(float(stops[i]), float(stops[i + 1])) for i in wide]


def _band(
    name: str, x: FloatArray, mean_draws: ArrayLike, scale: ArrayLike, truth: FloatArray | None, level: float
) -> dict[str, np.ndarray]:
    means = as_real(mean_draws, f"the means of {name}", 2)
    if means.shape[1:] != x.shape:
        raise DataError(f"The means of {name} have shape {means.shape}; expected [S, {x.size}], as x has.")
    ends = (0.5 - level / 2, 0.5 + level / 2)
    epistemic = np.quantile(means, ends, axis=0)
    columns = {
        "x": x,
        "mean": means.mean(0),
        "predictive_low": mixture_quantile(ends[0], means, scale),
        "predictive_high": mixture_quantile(ends[1], means, scale),
        "epistemic_low": epistemic[0],
        "epistemic_high": epistemic[1],
    }
    return columns if truth is None else {**columns, "y_true": truth}


def _draw_band(ax: Axes, band: Mapping[str, np.ndarray], level: float) -> None:
    x, percent = band["x"], f"{100 * level:g} %"
    for kind, shade in (("predictive", "0.82"), ("epistemic", "0.58")):
        low, high = band[f"{kind}_low"], band[f"{kind}_high"]
        if (high > low).any():  # a single member has no epistemic band
            ax.fill_between(x, low, high, color=shade, linewidth=0, label=f"{percent} {kind}")
    ax.plot(x, band["mean"], color=color(0), label="mean prediction", zorder=4)
    if "y_true" in band:
        ax.plot(x, band["y_true"], color="black", linestyle="--", linewidth=0.9, label="true curve", zorder=4)


def _draw_gaps(ax: Axes, gaps: Sequence[tuple[float, float]]) -> None:
    for k, (low, high) in enumerate(gaps):
        label = "no training data" if k == 0 else None
        ax.axvspan(
            low, high, facecolor="none", edgecolor="0.75", hatch="////", linewidth=0, label=label, zorder=0
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
    """One map per panel, with the training points and the decision contour at 0.5.

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
        The figure, and a table of the grid: ``x1``, ``x2`` and one column per panel.

    Raises:
        DataError: a wrong shape or value, or an epistemic title that is not among the panels.
    """
    from matplotlib.ticker import MaxNLocator

    horizontal, vertical = as_real(x1, "x1", 1), as_real(x2, "x2", 1)
    grids = {name: as_real(values, name, 2) for name, values in panels.items()}
    _check_maps(grids, epistemic, (len(vertical), len(horizontal)))
    train, classes = _training_points(points, labels)
    top = max((float(grids[name].max()) for name in epistemic), default=0.0) or 1e-3
    rows, columns, width = grid_shape(len(grids), 4)
    with paper_style():
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


def _check_maps(grids: Mapping[str, FloatArray], epistemic: Collection[str], shape: tuple[int, int]) -> None:
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
        cmap="Greys" if uncertain else "cividis",
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
