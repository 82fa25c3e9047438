import numpy as np
import pytest

from bisnn_pyro.analysis import plot_interval_histogram, plot_spike_raster
from bisnn_pyro.analysis.figures.spikes import Picture, plot_recordings
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


def test_wrong_input_is_named_of_interval_histogram():
    with pytest.raises(DataError, match=r"predictive has shape \(40, 11\); expected \[S, 12\]"):
        plot_interval_histogram(OBSERVED, DRAWN[:, 1:])
    with pytest.raises(DataError, match=r"observed .*without intervals"):
        plot_interval_histogram(np.zeros(12), DRAWN)


def pictures(n, shape=(6, 8), caption="12 events\n3 ms"):
    counts = np.random.default_rng(0).integers(0, 4, (n, *shape))
    return [Picture(f"class {k}", caption, c) for k, c in enumerate(counts)]


def test_csv_holds_the_counts(written):
    shown = pictures(3)
    columns = written(plot_recordings(shown))
    for picture in shown:
        counts = np.zeros((6, 8), int)
        own = [i for i, title in enumerate(columns["title"]) if title == picture.title]
        for i in own:
            counts[int(columns["row"][i]), int(columns["column"][i])] = int(columns["events"][i])
        assert np.array_equal(counts, picture.counts)


def test_one_panel_a_recording_on_one_scale():
    figure = plot_recordings(pictures(7)).figure
    images = [ax.images[0] for ax in figure.axes if ax.images]
    assert len(images) == 7
    assert len({image.get_clim() for image in images}) == 1
    # Row 0 of the counts is at the top.
    low, high = figure.axes[0].get_ylim()
    assert low > high


def test_a_pixel_that_fires_without_end_does_not_hide_the_others():
    shown = pictures(1, (30, 30))
    shown[0].counts[0, 0] = 10_000
    image = plot_recordings(shown).figure.axes[0].images[0]
    assert image.get_clim()[1] < 10


def test_axes_of_time_and_units():
    ax = plot_recordings(pictures(2), ("time (ms)", "unit"), (1200.0, 700.0)).figure.axes[0]
    assert ax.images[0].get_extent() == [0.0, 1200.0, 700.0, 0.0]
    assert ax.get_ylabel() == "unit"


@pytest.mark.parametrize("n", [1, 2, 4, 7, 10, 12])
def test_nothing_cut_off(inside, n):
    inside(plot_recordings(pictures(n)).figure)
    inside(plot_recordings(pictures(n, (100, 100)), ("time (ms)", "unit"), (1200.0, 700.0)).figure)


def test_no_events_at_all():
    assert len(plot_recordings([Picture("a", "", np.zeros((3, 3)))]).table["row"]) == 0


@pytest.mark.parametrize(
    ("shown", "message"),
    [
        ([], "nothing to show"),
        ([Picture("a", "", np.zeros(3))], "the counts of 'a'"),
        ([Picture("a", "", -np.ones((2, 2)))], "expected counts"),
        ([Picture("a", "", np.zeros((2, 2))), Picture("b", "", np.zeros((2, 3)))], "expected one shape"),
    ],
)
def test_wrong_input_is_named_of_recordings(shown, message):
    with pytest.raises(DataError, match=message):
        plot_recordings(shown)
