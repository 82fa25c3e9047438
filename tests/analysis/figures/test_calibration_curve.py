import numpy as np
import pytest

from bisnn_pyro.analysis import isotonic_consistency, isotonic_curve, plot_calibration_curve, top_label
from bisnn_pyro.errors import DataError


def test_curve_and_band_are_the_estimators(predictor):
    pair = predictor(60, 3)
    plot = plot_calibration_curve({"bayes": pair}, band=0.9, seed=3)
    curve = isotonic_curve(*top_label(*pair))
    line = next(line for line in plot.ax.lines if line.get_label() == "isotonic calibration curve")
    np.testing.assert_array_equal(line.get_xydata().T, [curve.confidence, curve.calibrated])
    np.testing.assert_array_equal(plot.table["calibrated"], curve.calibrated)
    np.testing.assert_array_equal(plot.table["count"], curve.count)
    band = isotonic_consistency(top_label(*pair)[0], 0.9, seed=3)
    at = np.searchsorted(curve.confidence, band.confidence)
    np.testing.assert_allclose(plot.table["band_low"][at], band.lower)
    np.testing.assert_allclose(plot.table["band_high"][at], band.upper)
    assert plot.ax.get_title() == "bayes\nn = 60"
    names = [text.get_text() for text in plot.figure.legends[0].get_texts()]
    assert names == ["90 % of calibrated predictors", "isotonic calibration curve", "confidences"]


def test_without_a_band(predictor):
    plot = plot_calibration_curve({"a": predictor(30, 2), "b": predictor(30, 2)}, band=None)
    assert list(plot.table) == ["predictor", "confidence", "calibrated", "count"]
    assert not plot.ax.collections
    assert len(plot.axes) == 2


@pytest.mark.parametrize("n", [1, 4, 5])
def test_one_panel_a_predictor(predictor, n):
    pair = predictor(20, 2)
    plot = plot_calibration_curve({f"predictor {k}": pair for k in range(n)}, band=None)
    assert len(plot.axes) == len(plot.figure.axes) == n


def test_one_confidence_alone():
    probs = np.tile([1.0, 0.0], (10, 1))
    plot = plot_calibration_curve({"a": (probs, np.arange(10) % 2)})
    np.testing.assert_array_equal(plot.table["calibrated"], [0.5])


def test_nothing_to_show():
    with pytest.raises(DataError, match="nothing to show"):
        plot_calibration_curve({})
