import numpy as np
import pytest

from bisnn_pyro.analysis import auroc, plot_roc, roc_curve
from bisnn_pyro.errors import DataError


def test_curves_areas_and_counts():
    rng = np.random.default_rng(0)
    inside, outside = rng.normal(size=30), rng.normal(1.0, size=20)
    plot = plot_roc({"entropy": (inside, outside), "tied": (inside > 0, outside > 0)})
    curve = roc_curve(inside, outside)
    np.testing.assert_array_equal(plot.ax.lines[1].get_xydata().T, [curve.fpr, curve.tpr])
    assert plot.ax.lines[1].get_label() == f"entropy (AUROC {auroc(inside, outside):.3f})"
    assert list(plot.table) == ["score", "threshold", "fpr", "tpr", "auroc"]
    assert (plot.table["score"] == "tied").sum() == 3
    assert plot.ax.get_xlabel() == "share of inside inputs flagged (n = 30)"
    assert plot.ax.get_ylabel() == "share of outside inputs flagged (n = 20)"
    assert plot.ax.get_aspect() == 1


def test_nothing_to_show():
    with pytest.raises(DataError, match="nothing to show"):
        plot_roc({})
