import numpy as np
import pytest

from bisnn_pyro.analysis import committee_size_scores, plot_committee_size
from bisnn_pyro.errors import DataError

RNG = np.random.default_rng(0)
LABELS = RNG.integers(3, size=30)
CURVES = {
    "bayes": committee_size_scores(RNG.dirichlet(np.ones(3), size=(12, 30)), LABELS),
    "gaussian": committee_size_scores(RNG.dirichlet(np.ones(3), size=(4, 30)), LABELS),
}


def test_panels_and_sizes():
    plot = plot_committee_size(CURVES, ("accuracy", "nll", "brier", "ece"))
    assert [ax.get_ylabel() for ax in plot.axes] == ["accuracy", "NLL (nats)", "Brier score", "ECE"]
    for ax in plot.axes:
        assert ax.get_xscale() == "log"
        assert [text.get_text() for text in ax.get_xticklabels()] == ["1", "2", "4", "5", "10", "12"]
    line = plot.axes[1].containers[0].lines[0]
    np.testing.assert_array_equal(line.get_xydata().T, [CURVES["bayes"]["size"], CURVES["bayes"]["nll"]])
    assert plot.table["method"].tolist() == ["bayes"] * 5 + ["gaussian"] * 3
    assert plot.table["ece_high"][0] == CURVES["bayes"]["ece_high"][0]


def test_an_infinite_score_is_not_drawn():
    curve = {"size": [1, 2], "nll": [np.inf, 1.0], "nll_low": [0.5, 0.9], "nll_high": [np.inf, np.inf]}
    plot = plot_committee_size({"a": curve}, ["nll"])
    assert plot.ax.containers[0].lines[0].get_xdata().tolist() == [2]
    assert plot.figure.get_figwidth() == 3.4


def test_wrong_input_is_named():
    with pytest.raises(DataError, match="nothing to show"):
        plot_committee_size({})
    with pytest.raises(DataError, match="'bayes' lacks the column 'mse'"):
        plot_committee_size(CURVES, ["mse"])
