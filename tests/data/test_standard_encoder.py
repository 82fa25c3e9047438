"""The standardising encoder: its contract, its formula, and whose statistics it uses."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.ndimage import correlate

from bisnn_pyro import load_preset
from bisnn_pyro.data import Split, StandardEncoder, Standardiser, Task
from bisnn_pyro.data.standard_encoder import FLOOR, filter_images
from bisnn_pyro.errors import DataError
from bisnn_pyro.experiments.build import build_encoder
from bisnn_pyro.testing.encoders import EncoderContract

features = hnp.arrays(np.float32, (6, 3), elements=st.floats(0, 1, width=32))


def fitted(x, image_shape=None, **settings):
    return StandardEncoder(**settings).fit(np.asarray(x, np.float32), image_shape)


class TestStandard(EncoderContract):
    currents = (-1 / FLOOR, 1 / FLOOR)

    def make(self):
        return fitted([[0.1, 0.2, 0.3], [0.9, 0.2, 0.4], [0.2, 0.2, 1.0]], n_steps=5)


class TestStandardByFeature(EncoderContract):
    currents = (-1 / FLOOR, 1 / FLOOR)

    def make(self):
        return fitted([[0.1, 0.2, 0.3], [0.9, 0.2, 0.4], [0.2, 0.2, 1.0]], scale="feature")


class TestStandardWithFilters(EncoderContract):
    n_features = 24
    currents = (-1 / FLOOR, 1 / FLOOR)

    def make(self):
        return fitted(np.random.default_rng(0).random((9, 24)), (1, 4, 6), n_steps=2, filters=True)


@given(train=features, x=features)
@settings(deadline=None, max_examples=60)
def test_is_the_formula(train, x):
    columns = [train[:, j].astype(float).tolist() for j in range(3)]
    means = [math.fsum(c) / 6 for c in columns]
    variances = [math.fsum((v - m) ** 2 for v in c) / 6 for c, m in zip(columns, means, strict=True)]
    together = math.sqrt(sum(variances) / 3)
    batch = torch.from_numpy(x).double()
    for scale in ("feature", "all"):
        out = fitted(train, scale=scale)(batch)[0]
        for j in range(3):
            own = math.sqrt(variances[j])
            if scale == "feature" and abs(own - FLOOR) < 1e-6:
                continue  # on either side by rounding
            divisor = (own if own > FLOOR else 1.0) if scale == "feature" else together
            if 0 < divisor < 1e-3:
                continue  # seven decimals say little of so small a deviation
            for i in range(6):
                expected = (float(x[i, j]) - means[j]) / (divisor or 1.0)
                assert out[i, j].item() == pytest.approx(expected, rel=2e-3, abs=2e-3)


def test_training_features_become_standard():
    x = np.random.default_rng(0).random((10_001, 4)).astype(np.float32) * [1.0, 0.5, 0.1, 0.0]
    out = fitted(x, scale="feature")(torch.from_numpy(x))[0].double()
    assert out.mean(0).abs().max() < 1e-4
    assert out.std(0, unbiased=False)[:3].numpy() == pytest.approx([1, 1, 1], abs=1e-4)
    assert out[:, 3].abs().max() == 0
    together = fitted(x)(torch.from_numpy(x))[0].double()
    assert together.square().mean().item() == pytest.approx(1, abs=1e-4)
    ratio = together.std(0)[0] / together.std(0)[1]
    assert ratio.item() == pytest.approx(x[:, 0].std() / x[:, 1].std(), rel=1e-4)


def test_a_rare_pixel_is_not_blown_up():
    x = np.zeros((60_000, 2), np.float32)
    x[0] = 1
    x[::2, 1] = 1
    out = fitted(x, scale="feature")(torch.from_numpy(x[:1]))[0]
    assert out[0, 0] == pytest.approx(1, abs=1e-4)
    assert out[0, 1] == pytest.approx(1, abs=1e-3)


def test_all_features_constant_in_training():
    x = np.full((5, 2), 0.25, np.float32)
    for scale in ("feature", "all"):
        assert fitted(x, scale=scale)(torch.tensor([[0.25, 0.75]])).tolist() == [[[0.0, 0.5]]]


def test_one_step_in_memory():
    out = fitted(np.eye(3), n_steps=1000)(torch.eye(3))
    assert out.shape == (1000, 3, 3)
    assert out.stride(0) == 0


def test_statistics_are_of_the_training_split_alone():
    rng = np.random.default_rng(0)
    y = np.arange(8) % 2
    train, val, test = (Split((rng.random((8, 3)) * k).astype(np.float32), y) for k in (1.0, 0.5, 0.2))
    task = Task("t", "classification", train, val, test, ("a", "b"))
    encoder = build_encoder(load_preset("digits", encoder={"name": "standard"}), task)
    assert encoder.standardiser.mean == pytest.approx(train.x.mean(0), abs=1e-6)


def test_statistics_survive_json_exactly():
    for shape in (None, (1, 2, 2)):
        fit = Standardiser.fit(np.random.default_rng(0).random((50, 4)).astype(np.float32), shape)
        again = Standardiser.from_dict(json.loads(json.dumps(fit.to_dict())))
        assert np.array_equal(again.mean, fit.mean)
        assert np.array_equal(again.deviation, fit.deviation)
        assert again.image_shape == shape


def by_hand(image):
    """Edge maps of one image ``[H, W]`` by scipy's correlation with each Sobel mask."""
    straight = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    slanted = np.array([[0, 1, 2], [-1, 0, 1], [-2, -1, 0]])
    maps = []
    for mask in (straight, straight.T, slanted, slanted[::-1]):
        edges = np.abs(correlate(image, mask, mode="nearest")) / 4
        h, w = (n // 2 for n in image.shape)
        maps.append(edges[: 2 * h, : 2 * w].reshape(h, 2, w, 2).mean((1, 3)))
    return np.concatenate([m.ravel() for m in maps])


@pytest.mark.parametrize("shape", [(1, 4, 6), (1, 5, 3), (2, 2, 2)])
def test_filters_are_those_of_scipy(shape):
    x = np.random.default_rng(0).random((3, math.prod(shape)))
    out = filter_images(torch.from_numpy(x), shape).numpy()
    n_maps = 4 * shape[0] * (shape[1] // 2) * (shape[2] // 2)
    assert out.shape == (3, math.prod(shape) + n_maps)
    assert np.array_equal(out[:, : x.shape[1]], x)
    for example, found in zip(x.reshape(3, *shape), out[:, x.shape[1] :], strict=True):
        channels = [by_hand(c).reshape(4, -1) for c in example]  # maps lie direction by direction
        assert found == pytest.approx(np.stack(channels, axis=1).ravel(), abs=1e-12)
    assert out.max() <= 1


def test_filters_of_a_flat_image_and_of_an_edge():
    flat = filter_images(torch.full((1, 36), 0.7), (1, 6, 6))
    assert flat[0, 36:].abs().max() == 0
    step = torch.zeros(1, 6, 6)
    step[:, :, 3:] = 1
    across, along, rising, falling = filter_images(step.flatten(1), (1, 6, 6))[0, 36:].reshape(4, 3, 3)
    assert across[:, 1].tolist() == [1, 1, 1]
    assert along.abs().max() == 0
    assert torch.equal(rising, falling)


def test_with_filters_pixels_and_edges_are_each_of_unit_power():
    x = np.random.default_rng(0).random((500, 36)).astype(np.float32) * 0.3
    encoder = fitted(x, (1, 6, 6), filters=True)
    out = encoder(torch.from_numpy(x))[0].double()
    assert out.shape == (500, 36 + 36)
    assert encoder.n_inputs(36) == 72
    for part in (out[:, :36], out[:, 36:]):
        assert part.square().mean().item() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: StandardEncoder(n_steps=0), "n_steps is 0"),
        (lambda: StandardEncoder(scale="al"), "did you mean 'all'"),
        (lambda: StandardEncoder()(torch.zeros(2, 3)), "not fitted"),
        (lambda: fitted(np.eye(3))(torch.zeros(2, 4)), r"shape \(2, 4\); expected 3 features"),
        (lambda: StandardEncoder(filters=True).n_inputs(4), "not fitted"),
        (lambda: StandardEncoder(filters=1), "filters is 1; expected true or false"),
        (lambda: fitted(np.eye(3), filters=True), "needs images"),
        (
            lambda: fitted(np.eye(3), (1, 1, 3), filters=True),
            r"\(3, 3\);.*\(1, 1, 3\), H and W",
        ),
        (lambda: fitted(np.eye(4), (1, 2, 2), filters=True)(torch.zeros(2, 5)), r"shape \(2, 5\)"),
        (lambda: fitted(np.eye(3))(torch.zeros(4)), r"shape \(4,\)"),
        (lambda: Standardiser.fit(np.zeros((0, 3))), r"shape \(0, 3\)"),
        (lambda: Standardiser.fit(np.zeros((2, 3, 4))), r"shape \(2, 3, 4\)"),
        (lambda: Standardiser(np.zeros(2), np.zeros(3)), "the same"),
        (lambda: Standardiser(np.zeros(1), np.full(1, -1.0)), "0 or more"),
        (lambda: Standardiser.from_dict({"mean": [0]}), "no 'deviation'"),
    ],
)
def test_what_is_wrong_is_named(make, message):
    with pytest.raises(DataError, match=message):
        make()
