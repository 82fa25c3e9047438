import numpy as np
import pytest

from bisnn_pyro.analysis import plot_cost_bars
from bisnn_pyro.errors import DataError

COSTS = {
    "mode": {"spikes": 10.0, "synaptic_ops": 1500.0, "weight_bits": 2e6},
    "committee": {"spikes": 100.0, "synaptic_ops": 150000.0, "weight_bits": 4e9},
    "no spikes": {"spikes": None, "synaptic_ops": 3000.0},
}


def test_bars_numbers_and_gaps():
    plot = plot_cost_bars(COSTS)
    assert [ax.get_xlabel() for ax in plot.axes] == [
        "spikes",
        "synaptic operations (log scale)",
        "bits of weights (log scale)",
    ]
    assert [ax.get_xscale() for ax in plot.axes] == ["linear", "log", "log"]
    assert [bar.get_width() for bar in plot.axes[0].patches] == [10.0, 100.0]
    assert [text.get_text() for text in plot.axes[0].texts] == ["10", "100", "–"]
    assert [text.get_text() for text in plot.axes[1].texts] == ["1.5 k", "150 k", "3 k"]
    assert [text.get_text() for text in plot.axes[2].texts] == ["2 M", "4 G", "–"]
    assert [text.get_text() for text in plot.ax.get_yticklabels()] == list(COSTS)
    assert plot.table["predictor"].tolist() == list(COSTS)
    np.testing.assert_array_equal(plot.table["weight_bits"], [2e6, 4e9, np.nan])


def test_zeros_have_a_linear_axis():
    plot = plot_cost_bars({"a": {"energy_nj": 0.0}, "b": {"energy_nj": 1e6}}, {"energy_nj": "energy (nJ)"})
    assert plot.ax.get_xscale() == "linear"
    assert plot_cost_bars({"a": {"spikes": None}}, {"spikes": "spikes"}).ax.texts


def test_wrong_input_is_named():
    with pytest.raises(DataError, match="nothing to show"):
        plot_cost_bars({})
    with pytest.raises(DataError, match="spikes of a is -1"):
        plot_cost_bars({"a": {"spikes": -1.0}})
