"""Helpers for tests of figures."""

import csv

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from bisnn_pyro.analysis import save_figure


@pytest.fixture
def written(tmp_path):
    """Save a plot and give its CSV's columns back as lists of text."""

    def write(plot):
        paths = save_figure(plot.figure, tmp_path / "figures", "figure", plot.table)
        assert paths["pdf"].read_bytes().startswith(b"%PDF")
        assert paths["png"].read_bytes().startswith(b"\x89PNG")
        with paths["csv"].open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
        return {name: [row[i] for row in rows[1:]] for i, name in enumerate(rows[0])}

    return write


@pytest.fixture
def inside():
    """Assert that every text of a figure lies on the page and that titles and labels do not overlap."""

    def check(figure):
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        renderer = canvas.get_renderer()
        page = figure.bbox
        boxes = []
        for ax in figure.axes:
            texts = [ax.title, ax.xaxis.label, ax.yaxis.label]
            for axis in (ax.xaxis, ax.yaxis):
                low, high = sorted(axis.get_view_interval())  # ticks beyond are made but not drawn
                texts += [t.label1 for t in axis.get_major_ticks() if low <= t.get_loc() <= high]
            shown = [t for t in texts if t.get_text() and t.get_visible()]
            for text in shown:
                box = text.get_window_extent(renderer)
                assert box.x0 >= page.x0 - 1, text
                assert box.x1 <= page.x1 + 1, text
                assert box.y0 >= page.y0 - 1, text
                assert box.y1 <= page.y1 + 1, text
            boxes += [(t, t.get_window_extent(renderer)) for t in (ax.title, ax.xaxis.label) if t.get_text()]
        for i, (first, a) in enumerate(boxes):
            for second, b in boxes[i + 1 :]:
                assert not a.overlaps(b), (first, second)

    return check
