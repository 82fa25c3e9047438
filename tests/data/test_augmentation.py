"""Augmentation against spikes moved one by one, and what it must leave alone."""

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from bisnn_pyro.data import SpikeAugmentation
from bisnn_pyro.errors import DataError

SHAPE = (2, 5, 4)
WIDTH = 40


def source(seed=0):
    return torch.Generator().manual_seed(seed)


def recordings(seed=0, n=6, n_steps=7, counts=False, rate=0.3):
    rng = np.random.default_rng(seed)
    spikes = rng.random((n, n_steps, WIDTH)) < rate
    return torch.from_numpy((spikes * (rng.integers(1, 5, spikes.shape) if counts else 1)).astype(np.uint8))


def events(x):
    """Every example's spikes as sorted (step, channel, row, column)."""
    images = x.reshape(len(x), -1, *SHAPE).numpy()
    return [sorted(zip(*(axis.tolist() for axis in np.nonzero(image)), strict=True)) for image in images]


def moved(spikes, dt, dy, dx, n_steps, mirror=False):
    """Spikes one by one, moved, those kept that are still inside."""
    _, height, width = SHAPE
    found = []
    for t, c, row, column in spikes:
        column = width - 1 - column if mirror else column
        place = (t + dt, c, row + dy, column + dx)
        if 0 <= place[0] < n_steps and 0 <= place[2] < height and 0 <= place[3] < width:
            found.append(place)
    return sorted(found)


seeds = st.integers(0, 2**32)


class TestShift:
    @given(seeds, st.integers(1, 3), st.booleans())
    def test_each_example_is_its_own_moved_as_a_whole(self, seed, most, flip):
        x = recordings(seed)
        out = SpikeAugmentation(shift=most, flip=flip, image_shape=SHAPE)(x, source(seed))
        for before, after in zip(events(x), events(out), strict=True):
            candidates = [
                moved(before, 0, dy, dx, 7, mirror)
                for dy in range(-most, most + 1)
                for dx in range(-most, most + 1)
                for mirror in ((False, True) if flip else (False,))
            ]
            assert after in candidates

    @given(seeds)
    def test_counts_are_kept_but_for_those_that_leave(self, seed):
        x = torch.zeros(20, 3, *SHAPE, dtype=torch.uint8)
        x[:, :, :, 1:-1, 1:-1] = recordings(seed, n=20, n_steps=3).view(20, 3, *SHAPE)[..., 1:-1, 1:-1]
        out = SpikeAugmentation(shift=1, image_shape=SHAPE)(x.flatten(2), source(seed))
        assert torch.equal(out.sum((1, 2)), x.sum((1, 2, 3, 4)))  # nothing at the border: nothing leaves

    def test_all_offsets_and_both_mirrors_are_drawn_alike(self):
        x = torch.zeros(4000, 1, 2, 5, 4)
        x[:, 0, 0, 2, 1] = 1
        out = SpikeAugmentation(shift=1, flip=True, image_shape=SHAPE)(x.view(4000, 1, WIDTH), source())
        count = out.view(4000, 2, 5, 4)[:, 0].sum(0)
        # Rows: 3 offsets; columns: 1 or 2 (mirrored), each with 3 offsets.
        expected = torch.zeros(5, 4)
        expected[1:4] = torch.tensor([1.0, 2, 2, 1]) * 4000 / 18
        assert (count - expected).abs().max() < 6 * (4000 / 9) ** 0.5

    def test_features_of_images(self):
        x = torch.rand(50, 12, generator=source())
        out = SpikeAugmentation(shift=2, image_shape=(1, 4, 3))(x, source(1))
        assert (out.shape, out.dtype) == (x.shape, x.dtype)
        for before, after in zip(x.view(-1, 4, 3), out.view(-1, 4, 3), strict=True):
            padded = torch.nn.functional.pad(before, (2, 2, 2, 2))
            assert any(
                torch.equal(after, padded[2 + dy : 6 + dy, 2 + dx : 5 + dx])
                for dy in range(-2, 3)
                for dx in range(-2, 3)
            )

    def test_an_axis_of_one_stays(self):
        x = recordings(n=30)
        out = SpikeAugmentation(shift=3, image_shape=(1, 1, WIDTH))(x, source())
        for before, after in zip(x, out, strict=True):
            padded = torch.nn.functional.pad(before, (3, 3))
            assert any(torch.equal(after, padded[:, 3 + d : 3 + d + WIDTH]) for d in range(-3, 4))


class TestTime:
    @given(seeds, st.integers(1, 6))
    def test_shift_moves_recordings(self, seed, most):
        x = recordings(seed)
        out = SpikeAugmentation(time_shift=most)(x, source(seed))
        for before, after in zip(events(x), events(out), strict=True):
            assert after in [moved(before, dt, 0, 0, 7) for dt in range(-most, most + 1)]

    @given(seeds, st.integers(1, 9), st.booleans())
    def test_jitter_moves_each_spike_a_little(self, seed, most, counts):
        x = recordings(seed, counts=counts)
        out = SpikeAugmentation(time_jitter=most)(x, source(seed))
        assert out.shape == x.shape
        assert int((out != 0).sum()) <= int((x != 0).sum())
        for before, after in zip(x, out, strict=True):
            for t, i in after.nonzero().tolist():
                near = before[max(t - most, 0) : t + most + 1, i]
                assert (near == after[t, i]).any()

    @given(seeds)
    def test_jitter_keeps_counts_without_collisions_and_edges(self, seed):
        x = torch.zeros(4, 20, WIDTH, dtype=torch.uint8)
        x[:, 2::5] = recordings(seed, n=4, n_steps=4)
        out = SpikeAugmentation(time_jitter=2)(x, source(seed))
        assert torch.equal(out.sum(1), x.sum(1))

    def test_jitter_is_uniform(self):
        x = torch.zeros(1, 9, 5000)
        x[0, 4] = 1
        out = SpikeAugmentation(time_jitter=2)(x, source())[0].sum(1)
        assert out[:2].sum() == out[7:].sum() == 0
        assert (out[2:7] - 1000).abs().max() < 6 * 800**0.5

    def test_of_counts_on_one_place_the_largest_stays(self):
        x = torch.zeros(1, 2, 4000)
        x[0, 0], x[0, 1] = 3, 2
        out = SpikeAugmentation(time_jitter=1)(x, source())[0]
        pairs = {tuple(p) for p in out.T.tolist()}
        # Each of the two leaves, stays or moves to the other's place; where they meet, 3 stays.
        assert pairs == {(0, 0), (3, 0), (0, 3), (0, 2), (2, 0), (3, 2), (2, 3)}


class TestDrop:
    @given(seeds, st.floats(0.01, 0.99), st.booleans())
    def test_only_removes(self, seed, p, counts):
        x = recordings(seed, counts=counts)
        out = SpikeAugmentation(drop=p)(x, source(seed))
        assert bool(((out == x) | (out == 0)).all())

    def test_share(self):
        x = torch.ones(10, 100, WIDTH)
        out = SpikeAugmentation(drop=0.3)(x, source())
        assert float(out.mean()) == pytest.approx(0.7, abs=6 * (0.21 / x.numel()) ** 0.5)


everything = {"shift": 1, "flip": True, "time_shift": 2, "time_jitter": 1, "drop": 0.2, "image_shape": SHAPE}


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_same_seed_same_bits_and_the_batch_stays(dtype):
    x = recordings().to(dtype)
    before = x.clone()
    change = SpikeAugmentation(**everything)
    first, second, other = (change(x, source(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(x, before)
    assert (first.shape, first.dtype) == (x.shape, dtype)
    assert set(first.unique().tolist()) <= {0, 1}


def test_bytes_and_floats_are_changed_alike():
    x = recordings()
    change = SpikeAugmentation(**everything)
    assert torch.equal(change(x, source()).float(), change(x.float(), source()))


@given(seeds)
def test_all_together_never_add_a_spike(seed):
    x = recordings(seed)
    out = SpikeAugmentation(**everything)(x, source(seed))
    assert bool((out.sum((1, 2)) <= x.sum((1, 2))).all())


def test_nothing_set_changes_nothing_and_draws_nothing():
    x, generator = recordings(), source()
    state = generator.get_state()
    assert SpikeAugmentation(image_shape=SHAPE)(x, generator) is x
    assert torch.equal(generator.get_state(), state)


def test_silence_and_an_empty_batch():
    change = SpikeAugmentation(**everything)
    assert not change(torch.zeros(2, 7, WIDTH), source()).any()
    assert change(torch.zeros(0, 7, WIDTH), source()).shape == (0, 7, WIDTH)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shift": -1}, "shift is -1"),
        ({"time_shift": 1.5}, "time_shift is 1.5"),
        ({"time_jitter": True}, "time_jitter is True"),
        ({"drop": 1.0}, "drop is 1"),
        ({"drop": -0.1}, "drop is -0.1"),
        ({"flip": 1}, "flip is 1"),
        ({"shift": 1}, "image shape is None"),
        ({"flip": True}, "image shape is None"),
        ({"shift": 1, "image_shape": (5, 8)}, r"expected \(C, H, W\)"),
        ({"shift": 4, "image_shape": SHAPE}, "less than their sides"),
        ({"shift": 1, "image_shape": (2, 1, 1)}, "less than their sides"),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(DataError, match=message):
        SpikeAugmentation(**settings)


@pytest.mark.parametrize(
    ("settings", "shape", "message"),
    [
        ({"time_jitter": 1, "drop": 0.1}, (3, WIDTH), r"time_jitter, drop of inputs of shape \(3, 40\)"),
        ({"shift": 1, "image_shape": SHAPE}, (3, 2, 2, WIDTH), "augmentation of inputs"),
        ({"time_shift": 7}, (3, 7, WIDTH), "less than the 7 steps"),
        ({"shift": 1, "image_shape": SHAPE}, (3, 7, 41), "expected images"),
    ],
)
def test_inputs_that_do_not_suit(settings, shape, message):
    with pytest.raises(DataError, match=message):
        SpikeAugmentation(**settings)(torch.zeros(shape), source())
