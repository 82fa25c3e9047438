from itertools import pairwise

import matplotlib
import matplotlib as mpl
import matplotlib.style
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from bisnn_pyro.analysis import (
    committee_size_scores,
    early_scores,
    early_stopping,
    plot_calibration_curve,
    plot_committee_size,
    plot_conformal_sets,
    plot_cost_bars,
    plot_early_decisions,
    plot_early_stopping,
    plot_entropy_split,
    plot_forest,
    plot_interval_histogram,
    plot_natural_parameters,
    plot_posterior_bars,
    plot_regression_band,
    plot_reliability,
    plot_reliability_seeds,
    plot_risk_coverage,
    plot_roc,
    plot_score_histogram,
    plot_shift,
    plot_spike_raster,
    plot_sweep,
    plot_training_curves,
    save_figure,
    summarise_posterior,
)
from bisnn_pyro.analysis.figures import style
from bisnn_pyro.analysis.figures.canvas import Canvas, canvas
from bisnn_pyro.analysis.figures.style import new_figure, paper_style, wrapped
from bisnn_pyro.errors import DataError


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
        Canvas((axes,), True).legend(2)
        (legend,) = figure.legends
        figure.draw_without_rendering()
        lefts = {round(text.get_window_extent().x0) for text in legend.get_texts()}
        assert len(lefts) == columns
        assert legend.get_window_extent().width <= figure.bbox.width


RNG = np.random.default_rng(0)
N, C, S = 40, 3, 4
DRAWS = RNG.dirichlet(np.ones(C), size=(S, N))
LABELS = RNG.integers(C, size=N)
PAIR = (DRAWS.mean(0), LABELS)
LAYERS = summarise_posterior({"a": RNG.normal(size=(3, 4)), "b": RNG.normal(size=(2, 3))})
GRID = np.linspace(0, 1, 5)
EARLY = {"a": early_scores(DRAWS, LABELS, [1, 2, 3, 4], 4)}
STOPPING = {"a": early_stopping(DRAWS, LABELS, [1, 2, 3, 4], 4)}

#: Function, its arrays, and how many axes it draws into.
CASES = [
    (plot_calibration_curve, ({"a": PAIR, "b": PAIR},), 2),
    (plot_committee_size, ({"a": committee_size_scores(DRAWS, LABELS)}, ("nll", "ece", "brier")), 3),
    (plot_conformal_sets, ({"a": DRAWS[0] > 0.3}, LABELS, 0.9), 2),
    (plot_cost_bars, ({"a": {"spikes": 3.0, "synaptic_ops": 5.0, "weight_bits": 8.0}},), 3),
    (plot_early_decisions, (EARLY,), 3),
    (plot_early_stopping, (STOPPING,), 1),
    (plot_entropy_split, (DRAWS, LABELS), 2),
    (plot_forest, ({"a": {"nll": [1.0, 2.0], "ece": [0.1, 0.2]}}, {"nll": "NLL", "ece": "ECE"}), 2),
    (plot_interval_histogram, ([0, 3, 2], [[0, 2, 2], [0, 1, 4]]), 1),
    (plot_natural_parameters, (LAYERS,), 2),
    (plot_posterior_bars, ({"a": LAYERS},), 2),
    (plot_regression_band, (GRID, {"a": (GRID[None], 0.1)}, GRID, GRID), 1),
    (plot_reliability, ({"a": PAIR, "b": PAIR},), 4),
    (plot_reliability_seeds, ({"a": [PAIR, PAIR]},), 1),
    (plot_risk_coverage, ({"a": (PAIR[0].max(-1), LABELS > 0)},), 1),
    (plot_roc, ({"a": (GRID, GRID + 0.1)},), 1),
    (plot_score_histogram, ({"a": GRID, "b": GRID + 1},), 1),
    (plot_shift, (GRID, {"a": RNG.random((3, 5))}), 1),
    (plot_spike_raster, ({"a": DRAWS[0] > 0.5, "b": DRAWS[1] > 0.5},), 2),
    (plot_sweep, (GRID + 0.1, {"a": RNG.random((3, 5))}), 1),
    (plot_training_curves, ({"a": {"nll": [2.0, 1.0], "kl": [0.0, 1.0]}},), 2),
]


@pytest.mark.parametrize(
    ("draw", "arrays", "n_axes"), CASES, ids=lambda value: getattr(value, "__name__", "")
)
def test_axes_given_are_drawn_into_and_returned(draw, arrays, n_axes):
    before = dict(matplotlib.rcParams)
    figure = Figure()
    given = np.atleast_1d(figure.subplots(n_axes, 1))
    plot = draw(*arrays, **({"ax": given[0]} if "ax" in draw.__kwdefaults__ else {"axes": given}))
    assert plot.axes == tuple(given)
    assert plot.ax is given[0]
    assert plot.figure is figure
    assert figure.axes == list(given)
    assert all(ax.has_data() for ax in given)
    assert not figure.legends
    assert dict(matplotlib.rcParams) == before
    assert len({len(column) for column in plot.table.values()}) == 1


@pytest.mark.parametrize("n_axes", [1, 3])
def test_number_of_axes_is_checked(n_axes):
    axes = Figure().subplots(1, n_axes, squeeze=False).ravel()
    with pytest.raises(DataError, match=f"{n_axes} axes were given for 2 panels"):
        plot_posterior_bars({"a": LAYERS}, axes=axes)


def test_axes_of_a_subfigure():
    figure = Figure()
    ax = figure.subfigures(1, 2)[1].subplots()
    assert plot_roc({"a": (GRID, GRID)}, ax=ax).figure is figure


def test_a_legend_without_names_is_none():
    with canvas(None, (1, 1), (3.0, 2.0)) as page:
        page.legend(2)
    assert page.own
    assert not page.figure.legends


TABLE = {"name": np.array(["a", "b,c"]), "value": np.array([1 / 3, np.nan])}


@pytest.fixture
def figure():
    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([0, 1])
    return figure


def test_three_files_in_a_new_folder(figure, tmp_path):
    paths = save_figure(figure, tmp_path / "a" / "b", "fig", TABLE)
    assert {path.name for path in (tmp_path / "a" / "b").iterdir()} == {"fig.pdf", "fig.png", "fig.csv"}
    assert paths["csv"].read_text(encoding="utf-8") == 'name,value\na,0.3333333333333333\n"b,c",nan\n'
    width, height = np.frombuffer(paths["png"].read_bytes()[16:24], ">u4")
    assert (width, height) == (400, 200)  # 2 x 1 inches at 200 dpi


def test_the_same_figure_gives_the_same_bytes(figure, tmp_path):
    first, second = (save_figure(figure, tmp_path / name, "fig", TABLE) for name in ("a", "b"))
    for suffix, path in first.items():
        assert path.read_bytes() == second[suffix].read_bytes()


def test_a_failed_write_leaves_the_old_file(figure, tmp_path, monkeypatch):
    paths = save_figure(figure, tmp_path, "fig", TABLE)
    before = paths["pdf"].read_bytes()

    def fail(self, target, **_):
        target.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(OSError, match="disk full"):
        save_figure(figure, tmp_path, "fig", TABLE)
    assert paths["pdf"].read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 3


def test_a_users_settings_stay_and_do_not_matter(tmp_path):
    history = {"a": {"nll": [1.0, 2.0]}}
    plain = plot_training_curves(history)
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red"}):
        styled = plot_training_curves(history)
        paths = [
            save_figure(p.figure, tmp_path / str(k), "f", p.table) for k, p in enumerate([plain, styled])
        ]
        assert mpl.rcParams["font.size"] == 30
    assert paths[0]["png"].read_bytes() == paths[1]["png"].read_bytes()


@pytest.mark.parametrize("table", [{}, {"a": [1], "b": [1, 2]}, {"a": [[1]]}])
def test_wrong_tables_are_named(figure, tmp_path, table):
    with pytest.raises(DataError, match="columns have shapes"):
        save_figure(figure, tmp_path, "fig", table)
    assert not list(tmp_path.iterdir())


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
