import numpy as np
import pytest

from bisnn_pyro.analysis import plot_risk_coverage, risk_coverage
from bisnn_pyro.errors import DataError

RNG = np.random.default_rng(0)
PAIRS = {"bayes": (RNG.random(100), RNG.random(100) < 0.3), "mode": (RNG.random(50), RNG.random(50))}


def test_csv_holds_whole_curves(written):
    columns = written(plot_risk_coverage(PAIRS))
    curves = {name: risk_coverage(*pair) for name, pair in PAIRS.items()}
    assert list(columns) == ["predictor", "coverage", "risk", "best", "aurc"]
    expected = np.concatenate([curve.risk for curve in curves.values()])
    np.testing.assert_array_equal(np.array(columns["risk"], float), expected)
    assert set(columns["aurc"][:100]) == {str(curves["bayes"].aurc)}


def test_drawn_from_thirty_points_on():
    curve = risk_coverage(*PAIRS["bayes"])
    plot = plot_risk_coverage(PAIRS)
    line = plot.ax.lines[0]
    np.testing.assert_array_equal(line.get_xydata().T, [curve.coverage[29:], curve.risk[29:]])
    assert line.get_label() == f"bayes (AURC {curve.aurc:.4f})"
    assert plot.ax.get_ylabel() == "risk (n = 50 or 100)"
    line = plot_risk_coverage(PAIRS, show="accuracy").ax.lines[0]
    np.testing.assert_allclose(line.get_ydata(), 1 - curve.risk[:28:-1])
    assert line.get_xdata()[0] == 0


@pytest.mark.parametrize("show", ["risk", "accuracy"])
@pytest.mark.parametrize(("n", "drawn"), [(1, 1), (2, 2), (20, 15), (59, 41), (90, 61), (100, 71)])
def test_two_thirds_of_a_short_curve_are_drawn(show, n, drawn):
    plot = plot_risk_coverage({"a": (np.arange(n), np.zeros(n))}, show=show)
    assert len(plot.ax.lines[0].get_xdata()) == drawn


def test_wrong_input_is_named():
    with pytest.raises(DataError, match="nothing to show"):
        plot_risk_coverage({})
    with pytest.raises(DataError, match="show is 'both'"):
        plot_risk_coverage(PAIRS, show="both")
