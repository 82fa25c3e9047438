"""Where a figure is drawn: on axes that the caller gives, or on a new figure of a column's width."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from bisnn_pyro.analysis.figures.style import Plot, Table, new_figure, outside_legend, paper_style
from bisnn_pyro.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Canvas:
    """The axes to draw into.

    Attributes:
        axes: row by row.
        own: whether their figure was made for this, so that its margins are free.
    """

    axes: tuple[Axes, ...]
    own: bool

    @property
    def figure(self) -> Figure:
        """The figure that holds the axes."""
        return cast("Figure", self.axes[0].figure.figure)

    def legend(self, columns: int, panel: int = 0) -> None:
        """Name the curves of one panel: above a figure of our own, inside of axes that were given."""
        ax = self.axes[panel]
        if not ax.get_legend_handles_labels()[1]:
            return
        if self.own:
            outside_legend(self.figure, ax, columns)
        else:
            ax.legend(handlelength=2.8)

    def without(self, panels: Iterable[int]) -> Canvas:
        """Take panels off that nothing is drawn in."""
        empty = set(panels)
        for k in empty:
            self.axes[k].remove()
        return Canvas(tuple(ax for k, ax in enumerate(self.axes) if k not in empty), self.own)

    def plot(self, table: Table) -> Plot:
        """What a ``plot_*`` returns."""
        return Plot(self.figure, table, self.axes)


@contextmanager
def canvas(
    given: Axes | Sequence[Axes] | None, shape: tuple[int, int], size: tuple[float, float], **options: Any
) -> Iterator[Canvas]:
    """Axes to draw into, in the paper's style for the length of the block.

    Args:
        given: the caller's axes, row by row; None for a new figure.
        shape: rows and columns of panels.
        size: width and height in inches of a new figure.
        options: of ``Figure.subplots``, such as ``sharey``.

    Raises:
        DataError: another number of axes was given than there are panels.
    """
    n = shape[0] * shape[1]
    with paper_style():
        if given is None:
            made = new_figure(*size).subplots(*shape, squeeze=False, **options)
            yield Canvas(tuple(made.flat), True)
            return
        axes = tuple(np.ravel(np.asarray(given, dtype=object)))
        if len(axes) != n:
            raise DataError(f"{len(axes)} axes were given for {n} panels; give one for each, row by row.")
        yield Canvas(axes, False)
