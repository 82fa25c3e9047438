"""Binning against a loop over events."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bisnn_pyro.data.events.binning import Binning
from bisnn_pyro.data.events.formats import Events
from bisnn_pyro.errors import DataError
from tests.data.events.writers import make_events


def naive(events, sensor, b):
    """The definition, one event at a time."""
    top, left, height, width = b.crop or (0, 0, *sensor)
    rows, columns = (-(-side // b.downsample) for side in (height, width))
    channels = 2 if b.polarity == "keep" else 1
    spikes = np.zeros((b.n_steps, channels, rows, columns), np.uint8)
    zero = min(events.t.tolist()) if b.zero == "first-event" else 0
    for t, x, y, p in zip(events.t.tolist(), events.x, events.y, events.p, strict=True):
        since = t - zero - 1000 * b.start
        if since < 0 or (b.polarity == "on-only" and not p):
            continue
        step = int(since // (1000 * b.time_step))
        row, column = y - top, x - left
        if step < b.n_steps and 0 <= row < height and 0 <= column < width:
            channel = p if channels == 2 else 0
            spikes[step, channel, row // b.downsample, column // b.downsample] = 1
    return spikes.reshape(b.n_steps, -1)


@given(
    sensor=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    time_step=st.sampled_from([0.5, 1, 3.0, 20]),
    n_steps=st.integers(1, 9),
    start=st.sampled_from([0, 0.25, 4.0]),
    corner=st.none() | st.tuples(st.integers(0, 3), st.integers(0, 3)),
    downsample=st.integers(1, 4),
    polarity=st.sampled_from(["keep", "merge", "on-only"]),
    zero=st.sampled_from(["clock", "first-event"]),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=150)
def test_is_the_loop(sensor, time_step, n_steps, start, corner, downsample, polarity, zero, seed):
    crop = None
    if corner is not None:
        crop = [min(c, side - 1) for c, side in zip(corner, sensor, strict=True)]
        crop += [max(1, (side - c) // 2) for c, side in zip(crop, sensor, strict=True)]
    binning = Binning(time_step, n_steps, start, crop, downsample, polarity, zero)
    events = make_events(40, sensor, duration=30_000, seed=seed)
    events = Events(events.t + 700, events.x, events.y, events.p)
    spikes = binning.spikes(events, sensor)
    assert spikes.dtype == np.uint8
    assert spikes.shape == (n_steps, np.prod(binning.image_shape(sensor)))
    assert np.array_equal(spikes, naive(events, sensor, binning))


def test_times_out_of_order_and_narrow_types_do_not_matter():
    events = make_events(300, (34, 34), 100_000)
    order = np.random.default_rng(0).permutation(300)
    mixed = Events(
        events.t[order],
        events.x[order].astype(np.uint8),
        events.y[order].astype(np.uint8),
        events.p[order].astype(bool),
    )
    binning = Binning(1.0, 100)
    assert np.array_equal(binning.spikes(mixed, (34, 34)), binning.spikes(events, (34, 34)))


def test_sizes_round_up():
    assert Binning(1, 1, downsample=2).image_shape((35, 34)) == (2, 18, 17)
    assert Binning(1, 1, downsample=5, polarity="merge").image_shape((1, 700)) == (1, 1, 140)
    assert Binning(1, 1, crop=(3, 4, 26, 20), polarity="on-only").image_shape((128, 128)) == (1, 26, 20)


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"time_step": 0}, "data.time_step is 0"),
        ({"time_step": 0.0015}, "whole number of microseconds"),
        ({"n_steps": 0}, "data.n_steps is 0"),
        ({"start": -1}, "data.start is -1"),
        ({"downsample": 1.5}, "data.downsample is 1.5"),
        ({"polarity": "drop"}, "data.polarity is 'drop'"),
        ({"zero": "midnight"}, "data.zero is 'midnight'"),
        ({"crop": [1, 2, 3]}, r"data.crop is \[1, 2, 3\]; expected \[top, left, height, width\]"),
        ({"crop": [0, 0, 0, 5]}, "a number of data.crop is 0"),
        ({"crop": 26}, "data.crop is 26"),
    ],
)
def test_wrong_settings(settings_, message):
    with pytest.raises(DataError, match=message):
        Binning(**({"time_step": 1.0, "n_steps": 2} | settings_))


def test_a_crop_beyond_the_sensor():
    with pytest.raises(DataError, match="beyond the sensor of height 10 and width 20"):
        Binning(1, 1, crop=[0, 15, 10, 6]).image_shape((10, 20))
