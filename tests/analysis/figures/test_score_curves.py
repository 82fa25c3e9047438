import numpy as np
import pytest

from bisnn_pyro.analysis import mean_interval, plot_shift, plot_sweep
from bisnn_pyro.errors import DataError

X = np.array([0.5, 1.0, 2.0, 4.0])
RNG = np.random.default_rng(0)
SCORES = {"bayes": RNG.random((5, 4)), "mode": RNG.random((5, 4)), "st": RNG.random((1, 4))}
PLOTS = [(plot_shift, "method"), (plot_sweep, "predictor")]


@pytest.mark.parametrize(("draw", "key"), PLOTS)
def test_means_and_intervals_over_seeds(draw, key):
    plot = draw(X, SCORES, score_name="ECE", level=0.9)
    assert list(plot.table) == [key, "x", "mean", "low", "high", "n_seeds"]
    for k, (name, values) in enumerate(SCORES.items()):
        rows = plot.table[key] == name
        intervals = [mean_interval(column, 0.9) for column in values.T]
        for end in ("mean", "low", "high"):
            expected = [getattr(interval, end) for interval in intervals]
            np.testing.assert_array_equal(plot.table[end][rows], expected)
        drawn = plot.ax.containers[k]
        np.testing.assert_array_equal(drawn.lines[0].get_xydata().T, [X, plot.table["mean"][rows]])
        bars = np.array([s for s in drawn.lines[2][0].get_segments() if s.size and np.isfinite(s).all()])
        assert len(bars) == (4 if len(values) > 1 else 0)
        if len(values) > 1:
            np.testing.assert_allclose(bars[:, :, 1].T, [plot.table["low"][rows], plot.table["high"][rows]])
    assert plot.ax.get_ylabel() == "ECE, 1 or 5 seeds"
    low, high = plot.ax.get_ylim()
    assert low <= np.nanmin(plot.table["low"])
    assert high >= np.nanmax(plot.table["high"])


def test_curves_stand_apart_on_the_page_alone():
    plot = plot_shift(X, SCORES)
    lines = [container.lines[0] for container in plot.ax.containers]
    places = [line.get_transform().transform((1.0, 0.5)) for line in lines]
    np.testing.assert_allclose(np.diff(places, axis=0), [[2 * 100 / 72, 0]] * 2)


def test_infinite_means_are_a_sign_on_top():
    scores = np.array([[0.1, np.inf, 0.3, 0.4], [0.2, 0.5, 0.4, 0.5]])
    plot = plot_shift(X, {"a": scores})
    assert len(plot.ax.containers[0].lines[0].get_xdata()) == 3
    assert [(text.get_text(), text.get_position()[0]) for text in plot.ax.texts] == [("∞", 1.0)]
    assert np.isinf(plot.table["mean"]).sum() == 1
    assert plot.ax.get_ylabel() == "accuracy, 2 seeds"


def test_a_sweep_marks_its_reference():
    plot = plot_sweep(X, SCORES)
    assert plot.ax.get_xscale() == "log"
    assert list(plot.ax.lines[0].get_xdata()) == [1.0, 1.0]
    assert len(plot_sweep(X, SCORES, reference=None).ax.lines) == len(plot.ax.lines) - 1


@pytest.mark.parametrize(("draw", "key"), PLOTS)
def test_wrong_input_is_named(draw, key):
    with pytest.raises(DataError, match="nothing to show"):
        draw(X, {})
    with pytest.raises(DataError, match="must ascend"):
        draw(X[::-1], SCORES)
    with pytest.raises(DataError, match=r"of a have shape \(2, 3\); expected \[K, 4\]"):
        draw(X, {"a": np.ones((2, 3))})


def test_a_sweep_begins_above_0():
    with pytest.raises(DataError, match="values begin with -1"):
        plot_sweep([-1.0, 1.0], {"a": np.ones((2, 2))})
