import numpy as np
import pytest

from bisnn_pyro.analysis import bin_consistency, plot_reliability, reliability_bins, top_label
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
