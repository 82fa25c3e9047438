import numpy as np
import pytest

from bisnn_pyro.analysis.figures.recordings import Picture, plot_recordings
from bisnn_pyro.errors import DataError


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
def test_wrong_input_is_named(shown, message):
    with pytest.raises(DataError, match=message):
        plot_recordings(shown)
