import numpy as np
import pytest

from bisnn_pyro.analysis import plot_spike_raster
from bisnn_pyro.errors import DataError

SPIKES = np.random.default_rng(0).random((20, 6)) < 0.2


@pytest.mark.parametrize(("step_ms", "label"), [(None, "time (steps)"), (0.5, "time (ms)")])
def test_a_stroke_a_spike(step_ms, label):
    plot = plot_spike_raster({"in": SPIKES, "out": SPIKES[:, :2]}, step_ms=step_ms)
    step, unit = np.nonzero(SPIKES)
    strokes = np.array(plot.ax.collections[0].get_segments())
    np.testing.assert_allclose(strokes[:, 0, 0], (step + 0.5) * (step_ms or 1))
    np.testing.assert_allclose(strokes.mean(1)[:, 1], unit)
    rows = plot.table["layer"] == "in"
    np.testing.assert_array_equal(plot.table["step"][rows], step)
    np.testing.assert_array_equal(plot.table["unit"][rows], unit)
    assert plot.axes[-1].get_xlabel() == label
    assert plot.ax.get_title() == f"in: 6 units, {SPIKES.mean():.3f} spikes a unit and step"


def test_silence_is_a_picture_too():
    plot = plot_spike_raster({"a": np.zeros((5, 3))})
    assert len(plot.table["step"]) == 0


def test_wrong_input_is_named():
    with pytest.raises(DataError, match="of at least a layer"):
        plot_spike_raster({})
    with pytest.raises(DataError, match=r"\[6, 20\] steps"):
        plot_spike_raster({"a": SPIKES, "b": SPIKES.T})
    with pytest.raises(DataError, match=r"a .*other values than 0 and 1"):
        plot_spike_raster({"a": SPIKES * 2})
