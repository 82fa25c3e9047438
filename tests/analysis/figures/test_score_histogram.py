import numpy as np
import pytest

from bisnn_pyro.analysis import plot_score_histogram
from bisnn_pyro.errors import DataError


def test_shares_are_of_each_group():
    rng = np.random.default_rng(0)
    groups = {"in": rng.random(50), "out": 1 + rng.random(20), "noise": rng.random(5)}
    plot = plot_score_histogram(groups, "vote variance", n_bins=7)
    assert list(plot.table) == ["edge_low", "edge_high", "in", "out", "noise"]
    for k, (name, scores) in enumerate(groups.items()):
        edges = np.append(plot.table["edge_low"], plot.table["edge_high"][-1])
        np.testing.assert_allclose(plot.table[name], np.histogram(scores, edges)[0] / len(scores))
        np.testing.assert_array_equal(plot.ax.patches[k].get_data().values, plot.table[name])
    assert len({patch.get_hatch() for patch in plot.ax.patches}) == 3
    assert plot.ax.get_xlabel() == "vote variance"
    names = [text.get_text() for text in plot.figure.legends[0].get_texts()]
    assert names == ["in (n = 50)", "out (n = 20)", "noise (n = 5)"]


def test_one_score_alone():
    assert plot_score_histogram({"a": [0.0, 0.0]}, n_bins=2).table["a"].tolist() == [1.0, 0.0]


def test_wrong_input_is_named():
    with pytest.raises(DataError, match="nothing to show"):
        plot_score_histogram({})
    with pytest.raises(DataError, match="the scores of a"):
        plot_score_histogram({"a": [np.inf]})
