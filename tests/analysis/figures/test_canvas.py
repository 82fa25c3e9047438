import matplotlib
import numpy as np
import pytest
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
    summarise_posterior,
)
from bisnn_pyro.analysis.figures.canvas import canvas
from bisnn_pyro.errors import DataError

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
