"""Long names and long trainings: texts that neither leave the page nor run into each other."""

from itertools import pairwise

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from bisnn_pyro.analysis import (
    plot_calibration_curve,
    plot_reliability,
    plot_reliability_seeds,
    plot_training_curves,
)
from bisnn_pyro.analysis.figures.style import new_figure, paper_style, wrapped

LONG = [f"two-moons-scarce straight-through mode-scaled {k}" for k in range(3)]


@pytest.mark.parametrize("n_panels", [1, 2, 3])
def test_long_names_are_broken(n_panels, predictor, inside):
    pairs = {name: predictor(60, 3, 1.0, k) for k, name in enumerate(LONG[:n_panels])}
    inside(plot_reliability_seeds({name: [pair, pair] for name, pair in pairs.items()}).figure)
    inside(plot_reliability(pairs).figure)
    inside(plot_calibration_curve(pairs).figure)


def test_a_broken_title_is_no_wider_than_asked_for():
    name = " ".join(LONG) + "_".join(LONG[0].split())
    with paper_style():
        figure = new_figure(7.0, 3.0)
        text = figure.text(0.0, 0.0, wrapped(name, 2.0))
        box = text.get_window_extent(FigureCanvasAgg(figure).get_renderer())
    assert box.width <= 2.0 * figure.dpi
    assert wrapped("bayes, 3 seeds", 2.0) == "bayes, 3 seeds"


@pytest.mark.parametrize("n_epochs", [1, 7, 200, 2000])
@pytest.mark.parametrize("columns", [("nll",), ("nll", "kl", "val_nll")])
def test_epochs_have_room(n_epochs, columns):
    epochs = np.arange(1, n_epochs + 1)
    figure = plot_training_curves({"a": {"epoch": epochs, **dict.fromkeys(columns, 1.0 / epochs)}}).figure
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    for ax in figure.axes:
        low, high = ax.get_xlim()
        labels = [t.label1 for t in ax.xaxis.get_major_ticks() if low <= t.get_loc() <= high]
        boxes = [label.get_window_extent(canvas.get_renderer()) for label in labels]
        assert all(b.x0 - a.x1 > 3 for a, b in pairwise(boxes))
        assert all(float(label.get_text()) % 1 == 0 for label in labels)
