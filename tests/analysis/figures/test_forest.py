import numpy as np
import pytest

from bisnn_pyro.analysis import mean_interval, plot_forest
from bisnn_pyro.errors import DataError

RNG = np.random.default_rng(0)
SCORES = {
    "committee": {"accuracy": RNG.random(5), "nll": RNG.random(5), "ece": RNG.random(5)},
    "mode": {"accuracy": RNG.random(5), "nll": [np.inf, 1.0]},
    "one seed": {"accuracy": [0.5], "nll": [1.0], "ece": [0.1]},
}


def test_dots_intervals_and_gaps():
    plot = plot_forest(SCORES, level=0.9)
    assert [ax.get_xlabel() for ax in plot.axes] == ["accuracy", "NLL (nats)", "ECE"]
    assert [text.get_text() for text in plot.ax.get_yticklabels()] == list(SCORES)
    interval = mean_interval(SCORES["committee"]["accuracy"], 0.9)
    dot = plot.ax.containers[0]
    np.testing.assert_allclose(dot.lines[0].get_xydata(), [[interval.mean, 0]])
    np.testing.assert_allclose(dot.lines[2][0].get_segments()[0][:, 0], [interval.low, interval.high])
    np.testing.assert_array_equal(plot.ax.lines[0].get_xdata(), SCORES["committee"]["accuracy"])
    assert len(plot.axes[1].containers) == 2  # an infinite mean is said in words
    assert [text.get_text() for text in plot.axes[1].texts] == ["infinite"]
    low, high = plot.ax.get_ylim()
    assert low > high  # the first on top
    rows = plot.table["score"] == "ece"
    assert plot.table["predictor"][rows].tolist() == ["committee", "one seed"]
    assert plot.table["n_seeds"][rows].tolist() == [5, 1]
    assert np.isnan(plot.table["low"][rows][1])


def test_wrong_input_is_named():
    with pytest.raises(DataError, match="nothing to show"):
        plot_forest({})
    with pytest.raises(DataError, match="No predictor has 'brier'"):
        plot_forest(SCORES, {"brier": "Brier score"})
