import numpy as np
import pytest

from bisnn_pyro.analysis import (
    bin_consistency,
    isotonic_consistency,
    isotonic_curve,
    plot_calibration_curve,
    plot_reliability,
    plot_reliability_seeds,
    reliability_bins,
    top_label,
)
from bisnn_pyro.errors import DataError


def as_floats(column):
    return np.array(column, dtype=float)


@pytest.mark.parametrize("scheme", ["width", "mass"])
def test_csv_holds_the_bins(predictor, written, scheme):
    pairs = {"bayes": predictor(300, 3), "straight-through": predictor(200, 3, 5.0, 1)}
    columns = written(plot_reliability(pairs, 15, scheme))
    start = 0
    for name, pair in pairs.items():
        bins = reliability_bins(*pair, 15, scheme)
        part = slice(start, start + len(bins.count))
        start = part.stop
        assert set(columns["predictor"][part]) == {name}
        for column, values in {
            "count": bins.count,
            "confidence": bins.confidence,
            "accuracy": bins.accuracy,
            "wilson_low": bins.lower,
            "wilson_high": bins.upper,
            "edge_low": bins.edges[:-1],
            "edge_high": bins.edges[1:],
        }.items():
            np.testing.assert_array_equal(as_floats(columns[column][part]), values)
        assert set(as_floats(columns["ece"][part])) == {bins.ece}
    assert start == len(columns["predictor"])


def test_drawn_are_the_filled_bins_only(predictor):
    pair = predictor(60, 2)
    bins = reliability_bins(*pair)
    filled = bins.count > 0
    figure = plot_reliability({"bayes": pair}).figure
    top, bottom = figure.axes
    points = top.containers[0].lines[0]
    np.testing.assert_array_equal(points.get_xydata().T, [bins.confidence[filled], bins.accuracy[filled]])
    segments = np.array(top.containers[0].lines[2][0].get_segments())
    np.testing.assert_allclose(segments[:, :, 1].T, [bins.lower[filled], bins.upper[filled]], atol=1e-12)
    assert [bar.get_height() for bar in bottom.patches] == bins.count[filled].tolist()
    assert top.get_title().endswith(f"\nECE {bins.ece:.3f}, n = 60")


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_one_panel_a_predictor_and_nothing_cut_off(predictor, inside, n):
    pair = predictor(200, 2)
    figure = plot_reliability({f"predictor {k}": pair for k in range(n)}).figure
    assert len(figure.axes) == 2 * n
    assert figure.get_figwidth() == (3.4 if n == 1 else 7.0)
    inside(figure)


@pytest.mark.parametrize("confidence", [0.5, 1.0])
@pytest.mark.parametrize("scheme", ["width", "mass"])
def test_all_points_at_one_confidence(written, confidence, scheme):
    probs = np.tile([confidence, 1 - confidence], (20, 1))
    assert written(plot_reliability({"a": (probs, np.zeros(20))}, scheme=scheme))


def test_nothing_to_show():
    with pytest.raises(DataError, match="nothing to show"):
        plot_reliability({})


def test_boxes_of_calibrated_predictors(predictor):
    pair = predictor(200, 3)
    plot = plot_reliability({"bayes": pair}, 10, band=0.9, seed=4)
    band = bin_consistency(top_label(*pair)[0], 10, level=0.9, seed=4)
    np.testing.assert_array_equal(plot.table["consistency_low"], band.lower)
    np.testing.assert_array_equal(plot.table["consistency_high"], band.upper)
    (boxes,) = plot.ax.patches
    np.testing.assert_array_equal(boxes.get_data().values, band.upper)
    np.testing.assert_array_equal(boxes.get_data().baseline, band.lower)
    assert boxes.get_label() == "90 % of calibrated predictors"
    without = plot_reliability({"bayes": pair}, 10, band=None)
    assert not without.ax.patches
    assert "consistency_low" not in without.table


def test_pooled_is_every_prediction_once(predictor):
    seeds = [predictor(150, 3, 1.0, k) for k in range(3)]
    plot = plot_reliability_seeds({"bayes": seeds}, 8)
    both = (np.concatenate([p for p, _ in seeds]), np.concatenate([y for _, y in seeds]))
    for name, pair in {"1": seeds[1], "pooled": both}.items():
        bins, rows = reliability_bins(*pair, 8), plot.table["seed"] == name
        np.testing.assert_array_equal(plot.table["count"][rows], bins.count)
        np.testing.assert_allclose(plot.table["accuracy"][rows], bins.accuracy)
    assert list(dict.fromkeys(plot.table["seed"])) == ["0", "1", "2", "pooled"]
    errors = [reliability_bins(*pair, 8).ece for pair in seeds]
    assert plot.ax.get_title() == f"bayes, 3 seeds\nECE {min(errors):.3f} to {max(errors):.3f}"
    pooled = next(line for line in plot.ax.lines if line.get_label() == "all seeds pooled")
    bins = reliability_bins(*both, 8)
    shown = bins.count >= 5
    np.testing.assert_allclose(pooled.get_xydata().T, [bins.confidence[shown], bins.accuracy[shown]])


def test_a_predictor_without_seeds(predictor):
    with pytest.raises(DataError, match="'b' has no seeds"):
        plot_reliability_seeds({"a": [predictor(20, 2)], "b": []})
    with pytest.raises(DataError, match="nothing to show"):
        plot_reliability_seeds({})


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


def test_nothing_to_show_of_calibration_curve():
    with pytest.raises(DataError, match="nothing to show"):
        plot_calibration_curve({})
