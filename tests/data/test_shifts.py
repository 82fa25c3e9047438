"""Shifted test points, against scipy and against what must hold."""

import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
from hypothesis import given, settings, strategies as st

from bisnn_pyro.data.shifts import (
    ChangedRows,
    chosen_signs,
    noise_like,
    rotate,
    shuffle_pixels,
    upside_down,
)
from bisnn_pyro.errors import DataError

SHAPES = [(1, 7, 7), (2, 6, 6), (1, 5, 8)]


def features(shape, n=3, seed=0):
    return np.random.default_rng(seed).random((n, int(np.prod(shape))), dtype=np.float32)


def spikes(shape, n=3, n_steps=4, seed=0):
    return (np.random.default_rng(seed).random((n, n_steps, int(np.prod(shape)))) < 0.4).astype(np.uint8)


@pytest.mark.parametrize("make", [features, spikes])
@pytest.mark.parametrize("shape", SHAPES[:2])
@pytest.mark.parametrize("quarters", [-1, 0, 1, 2, 3, 4, 5])
def test_quarter_turns_are_exact(make, shape, quarters):
    x = make(shape)
    images = x.reshape(*x.shape[:-1], *shape)
    turned = rotate(x, 90 * quarters, shape)
    assert turned.dtype == x.dtype
    np.testing.assert_array_equal(turned, np.rot90(images, quarters, (-2, -1)).reshape(x.shape))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("degrees", [1.0, 15.0, 30.0, 45.0, 117.3, -60.0])
def test_rotation_as_scipy_does_it(shape, degrees):
    x = features(shape)
    angle = np.deg2rad(degrees)
    back = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    middle = (np.array(shape[1:]) - 1) / 2
    how = {"offset": middle - back @ middle, "order": 1, "mode": "grid-constant", "cval": 0.0}
    expected = [
        [scipy.ndimage.affine_transform(channel.astype(float), back, **how) for channel in image]
        for image in x.reshape(-1, *shape)
    ]
    np.testing.assert_allclose(rotate(x, degrees, shape), np.reshape(expected, x.shape), atol=1e-6)


def test_rotated_spikes_stay_spikes():
    turned = rotate(spikes((2, 6, 6)), 33.0, (2, 6, 6))
    assert set(np.unique(turned)) == {0, 1}
    # A spike in the very middle stays; one in a corner leaves.
    x = np.zeros((1, 1, 25), np.uint8)
    x[0, 0, [0, 12]] = 1
    np.testing.assert_array_equal(np.flatnonzero(rotate(x, 45.0, (1, 5, 5))), [12])


def test_rotation_is_counter_clockwise():
    x = np.zeros((1, 9), np.float32)
    x[0, 2] = 1.0  # top right
    assert rotate(x, 90, (1, 3, 3))[0, 0] == 1.0  # top left


@pytest.mark.parametrize("make", [features, spikes])
def test_upside_down(make):
    x = make((2, 5, 8))
    images = x.reshape(*x.shape[:-1], 2, 5, 8)
    np.testing.assert_array_equal(upside_down(x, (2, 5, 8)), np.flip(images, -2).reshape(x.shape))
    np.testing.assert_array_equal(upside_down(upside_down(x, (2, 5, 8)), (2, 5, 8)), x)


@pytest.mark.parametrize("make", [features, spikes])
def test_shuffled_pixels_move_alike_in_all_examples(make):
    x = make((2, 6, 6))
    shuffled = shuffle_pixels(x, 3, (2, 6, 6))
    assert (shuffled != x).any()
    places = shuffle_pixels(np.arange(72)[None], 3, (2, 6, 6))[0]
    np.testing.assert_array_equal(np.sort(places), np.arange(72))
    np.testing.assert_array_equal(places[36:], places[:36] + 36)  # the channels of a pixel stay together
    np.testing.assert_array_equal(shuffled, x[..., places])
    assert (shuffle_pixels(x, 4, (2, 6, 6)) != shuffled).any()
    np.testing.assert_array_equal(np.sort(shuffle_pixels(np.arange(7.0)[None], 0)[0]), np.arange(7.0))


def test_noise_is_uniform_or_keeps_the_spikes():
    x = features((40, 50), n=5)
    noise = noise_like(x, np.arange(5), 0)
    assert noise.dtype == np.float32
    assert scipy.stats.kstest(noise.ravel(), "uniform").pvalue > 0.01
    recordings = 3 * spikes((2, 5, 8))
    strewn = noise_like(recordings, np.arange(3), 0)
    np.testing.assert_array_equal(strewn.sum((1, 2)), recordings.sum((1, 2)))
    assert (strewn != recordings).any()
    with pytest.raises(DataError, match="seed"):
        noise_like(x, np.arange(5), -1)


def test_rows_on_demand_do_not_depend_on_how_they_are_read():
    x = features((1, 4, 4), n=9)
    changed = ChangedRows(x, lambda rows, numbers: noise_like(rows, numbers, 7))
    whole = noise_like(x, np.arange(9), 7)
    assert (changed.shape, changed.dtype, len(changed)) == (x.shape, x.dtype, 9)
    np.testing.assert_array_equal(changed[2:5], whole[2:5])
    np.testing.assert_array_equal(changed[np.array([8, 0])], whole[[8, 0]])


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    fractions=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    seed=st.integers(0, 9),
)
def test_signs_are_as_many_as_said_and_nested(shape, fractions, seed):
    few, many = (chosen_signs(shape, f, seed) for f in sorted(fractions))
    for fraction, signs in zip(sorted(fractions), (few, many), strict=True):
        assert signs.shape == shape
        assert set(np.unique(signs)) <= {-1.0, 1.0}
        assert (signs < 0).sum() == round(fraction * signs.size)
    assert (many <= few).all()


def test_signs_of_other_seeds_and_streams_lie_elsewhere():
    signs = chosen_signs((20, 20), 0.3, 0)
    assert (signs != chosen_signs((20, 20), 0.3, 1)).any()
    assert (signs != chosen_signs((20, 20), 0.3, 0, 1)).any()
    with pytest.raises(DataError, match="fraction"):
        chosen_signs((2,), 1.5, 0)


@pytest.mark.parametrize("image_shape", [None, (9,), (1, 1, 9), (1, 3, 4)])
def test_what_is_no_image_cannot_be_turned(image_shape):
    for change in (lambda x: rotate(x, 10.0, image_shape), lambda x: upside_down(x, image_shape)):
        with pytest.raises(DataError, match=r"image shape|expected images"):
            change(features((1, 3, 3)))
    with pytest.raises(DataError, match="degrees"):
        rotate(features((1, 3, 3)), np.nan, (1, 3, 3))
