import numpy as np
import pytest

from bisnn_pyro.analysis import plot_natural_parameters, plot_posterior_bars, summarise_posterior
from bisnn_pyro.errors import DataError

RNG = np.random.default_rng(0)


def test_histograms_and_the_undecided_stretch():
    layers = summarise_posterior(
        {"w1": RNG.normal(size=(30, 40)), "w2": RNG.normal(size=(3, 30))}, threshold=0.6
    )
    plot = plot_natural_parameters(layers)
    assert plot.ax.get_title() == f"w1: 1,200 synapses\n{100 * layers['w1'].undecided:.1f} % undecided"
    span, histogram = plot.ax.patches
    np.testing.assert_allclose(np.tanh([span.get_x(), span.get_x() + span.get_width()]), [-0.6, 0.6])
    np.testing.assert_allclose(histogram.get_data().values.sum(), 1.0)
    np.testing.assert_array_equal(histogram.get_data().edges, layers["w1"].edges)
    assert plot.table["count"].sum() == 1290
    assert list(plot.table) == ["layer", "edge_low", "edge_high", "count"]


def test_point_estimates_lie_in_the_outer_bins():
    plot = plot_natural_parameters(summarise_posterior({"w": [[np.inf, -np.inf, np.inf]]}, threshold=1.0))
    assert plot.table["count"][[0, -1]].tolist() == [1, 2]
    assert len(plot.ax.patches) == 1  # with a threshold of 1 nothing is decided, and nothing shaded
    assert not plot.figure.legends


def test_nothing_to_show():
    with pytest.raises(DataError, match="nothing to show"):
        plot_natural_parameters({})


RNG_POSTERIOR_BARS = np.random.default_rng(0)
RUNS = {
    "a": summarise_posterior(
        {"w1": RNG_POSTERIOR_BARS.normal(size=20), "w2": RNG_POSTERIOR_BARS.normal(size=10)}
    ),
    "b": summarise_posterior(
        {"w2": RNG_POSTERIOR_BARS.normal(size=10), "w3": RNG_POSTERIOR_BARS.normal(size=5)}
    ),
}


def test_bars_are_the_summaries():
    plot = plot_posterior_bars(RUNS)
    assert [text.get_text() for text in plot.ax.get_xticklabels()] == ["w1", "w2", "w3"]
    for ax, column in zip(plot.axes, ("kl_per_synapse", "undecided"), strict=True):
        for bars, run in zip(ax.containers, RUNS.values(), strict=True):
            heights = [bar.get_height() for bar in bars]
            expected = [run[w].row()[column] if w in run else np.nan for w in ("w1", "w2", "w3")]
            np.testing.assert_array_equal(heights, expected)
    assert plot.table["run"].tolist() == ["a", "a", "b", "b"]
    assert plot.table["layer"].tolist() == ["w1", "w2", "w2", "w3"]
    assert plot.table["kl_per_synapse"][0] == RUNS["a"]["w1"].kl / 20
    hatches = {bars[0].get_hatch() for bars in plot.ax.containers}
    assert len(hatches) == 2


def test_one_run_needs_no_legend():
    assert not plot_posterior_bars({"a": RUNS["a"]}).figure.legends


@pytest.mark.parametrize("runs", [{}, {"a": {}}])
def test_nothing_to_show_of_posterior_bars(runs):
    with pytest.raises(DataError, match="nothing to show"):
        plot_posterior_bars(runs)
