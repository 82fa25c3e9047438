import numpy as np
import pytest

from bisnn_pyro.analysis import plot_posterior_bars, summarise_posterior
from bisnn_pyro.errors import DataError

RNG = np.random.default_rng(0)
RUNS = {
    "a": summarise_posterior({"w1": RNG.normal(size=20), "w2": RNG.normal(size=10)}),
    "b": summarise_posterior({"w2": RNG.normal(size=10), "w3": RNG.normal(size=5)}),
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
def test_nothing_to_show(runs):
    with pytest.raises(DataError, match="nothing to show"):
        plot_posterior_bars(runs)
