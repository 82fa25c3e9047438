import numpy as np
import pytest

from bisnn_pyro.analysis import plot_interval_histogram
from bisnn_pyro.errors import DataError

RNG = np.random.default_rng(0)
OBSERVED = np.append(0, RNG.integers(1, 50, size=11))
DRAWN = np.column_stack([np.zeros(40), RNG.integers(1, 50, size=(40, 11))])


def test_shares_and_band():
    plot = plot_interval_histogram(OBSERVED, DRAWN, longest=7, level=0.8)
    share = DRAWN / DRAWN.sum(1, keepdims=True)
    ends = np.quantile(share, [0.1, 0.5, 0.9], axis=0)
    for column, expected in zip(("low", "median", "high"), ends, strict=True):
        np.testing.assert_allclose(plot.table[f"predictive_{column}"], expected)
    points = plot.ax.lines[0].get_xydata()
    np.testing.assert_allclose(points.T, [np.arange(1, 8), OBSERVED[1:8] / OBSERVED.sum()])
    band, median = plot.ax.patches
    np.testing.assert_allclose(band.get_data().values, ends[2][1:8])
    np.testing.assert_allclose(median.get_data().edges, np.arange(0.5, 8))
    names = [text.get_text() for text in plot.figure.legends[0].get_texts()]
    assert names == ["predictive, 80 % of 40 draws", "predictive median", f"observed (n = {OBSERVED.sum()})"]
    assert len(plot.table["interval_steps"]) == 12


def test_axis_ends_with_nearly_all_intervals():
    counts = np.zeros(100)
    counts[[1, 5, 90]] = [500, 495, 5]
    assert plot_interval_histogram(counts, counts[None], step_ms=2.0).ax.get_xlim() == (1.0, 11.0)


def test_wrong_input_is_named():
    with pytest.raises(DataError, match=r"predictive has shape \(40, 11\); expected \[S, 12\]"):
        plot_interval_histogram(OBSERVED, DRAWN[:, 1:])
    with pytest.raises(DataError, match=r"observed .*without intervals"):
        plot_interval_histogram(np.zeros(12), DRAWN)
