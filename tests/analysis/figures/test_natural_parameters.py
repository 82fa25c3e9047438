import numpy as np
import pytest

from bisnn_pyro.analysis import plot_natural_parameters, summarise_posterior
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
