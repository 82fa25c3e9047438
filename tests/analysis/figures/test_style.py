import matplotlib
import matplotlib.style
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from bisnn_pyro.analysis import paper_style, plot_roc
from bisnn_pyro.analysis.figures import style


def greys(colors):
    """Luma of Rec. 601, which PIL's conversion to grey has."""
    return np.array([to_rgb(c) for c in colors]) @ [0.299, 0.587, 0.114]


def test_the_file_is_a_matplotlib_style():
    with matplotlib.style.context("bisnn_pyro.analysis.figures.bisnn"):
        assert matplotlib.rcParams["figure.figsize"][0] == style.SINGLE_WIDTH
        assert matplotlib.rcParams["pdf.fonttype"] == 42
        cycle = list(matplotlib.rcParams["axes.prop_cycle"])
        ours = {key: matplotlib.rcParams[key] for key in style._settings()}
    with paper_style():
        assert {key: matplotlib.rcParams[key] for key in ours} == ours
    for k, line in enumerate(cycle):
        assert style.line_style(k) == {**line, "marker": style.MARKERS[k]}


def test_palette_reads_in_grey():
    first = greys([style.color(k) for k in range(4)])
    assert np.diff(np.sort(first)).min() > 0.1
    assert first.max() < 0.7  # seen on white
    lines = [style.line_style(k) for k in range(8)]
    for key in ("color", "linestyle", "marker"):
        assert len({str(line[key]) for line in lines}) == 8
    assert len({str(style.line_style(k)) for k in range(64)}) == 64
    assert len({style.fill_style(k)["hatch"] for k in range(6)}) == 6
    assert style.line_style(64) == style.line_style(0)


def test_nothing_stays_set_not_even_after_an_error():
    before = dict(matplotlib.rcParams)
    with pytest.raises(ZeroDivisionError), paper_style():
        raise ZeroDivisionError
    assert dict(matplotlib.rcParams) == before


def test_settings_of_the_user_do_not_leak_in():
    with matplotlib.rc_context({"font.size": 30, "axes.prop_cycle": matplotlib.cycler(color=["red"])}):
        plot = plot_roc({"a": ([0.0, 1.0], [1.0, 2.0])})
        assert matplotlib.rcParams["font.size"] == 30
    assert plot.ax.xaxis.label.get_fontsize() == 8
    assert plot.ax.lines[1].get_color() == style.color(0)


def test_notebooks_and_png(tmp_path):
    plot = plot_roc({"a": ([0.0, 1.0], [1.0, 2.0])})
    assert plot._repr_png_().startswith(b"\x89PNG")
    path = plot.save_png(tmp_path / "roc.png", dpi=50)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert list(tmp_path.iterdir()) == [path]


def test_legend_takes_fewer_columns_where_names_are_long():
    for name, columns in (("short", 2), ("straight-through at its temperature", 1)):
        figure = style.new_figure(3.4, 2.5)
        axes = figure.add_subplot()
        for k in range(4):
            axes.plot([0, 1], label=f"{name} {k}")
        style.outside_legend(figure, axes, 2)
        (legend,) = figure.legends
        figure.draw_without_rendering()
        lefts = {round(text.get_window_extent().x0) for text in legend.get_texts()}
        assert len(lefts) == columns
        assert legend.get_window_extent().width <= figure.bbox.width
