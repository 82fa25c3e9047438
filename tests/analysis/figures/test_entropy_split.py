import numpy as np
import pytest

from bisnn_pyro.analysis import expected_entropy, mutual_information, plot_entropy_split
from bisnn_pyro.errors import DataError

RNG = np.random.default_rng(0)
DRAWS = RNG.dirichlet(np.ones(3), size=(6, 80))
LABELS = RNG.integers(3, size=80)


def test_histograms_of_right_and_wrong():
    plot = plot_entropy_split(DRAWS, LABELS, n_bins=9)
    right = DRAWS.mean(0).argmax(-1) == LABELS
    names = [text.get_text() for text in plot.figure.legends[0].get_texts()]
    assert names == [f"right predictions (n = {right.sum()})", f"wrong predictions (n = {(~right).sum()})"]
    parts = {"expected_entropy": expected_entropy(DRAWS), "mutual_information": mutual_information(DRAWS)}
    for name, values in parts.items():
        rows = plot.table["quantity"] == name
        edges = np.append(plot.table["edge_low"][rows], plot.table["edge_high"][rows][-1])
        for column, chosen in {"share_right": right, "share_wrong": ~right}.items():
            share = np.histogram(values[chosen], edges)[0] / chosen.sum()
            np.testing.assert_allclose(plot.table[column][rows], share)
    assert [ax.get_xlabel() for ax in plot.axes] == ["expected entropy (nats)", "mutual information (nats)"]


def test_a_single_member_that_is_always_right():
    draws = np.tile(np.eye(2), (5, 1))[None]
    plot = plot_entropy_split(draws, np.arange(10) % 2)
    assert np.isnan(plot.table["share_wrong"]).all()
    assert plot.table["share_right"].sum() == 2


def test_wrong_input_is_named():
    with pytest.raises(DataError, match="n_bins is 0"):
        plot_entropy_split(DRAWS, LABELS, n_bins=0)
    with pytest.raises(DataError, match="draws has shape"):
        plot_entropy_split(DRAWS[0], LABELS)
