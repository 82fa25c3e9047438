"""Test points that are not as the training set was: turned, mixed up, or noise altogether.

All functions take scaled image or other features ``[N, F]`` in [0, 1], or ready spikes ``[N, T, I]``, leave
them as they are and return others of the same shape and type.  What they draw at random belongs to an
example's number, so that it is the same in whichever parts the examples are read.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from bisnn_pyro.data.checks import check_count, check_number
from bisnn_pyro.errors import DataError

Change = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Examples ``[n, ...]`` and their numbers ``[n]`` to others of the same shape and type."""


class ChangedRows:
    """An array ``[N, ...]`` of which each example is changed when it is read, and none is kept.

    Args:
        x: The examples, an array or one on demand.
        change: What happens to those that are read.
    """

    def __init__(self, x: Any, change: Change) -> None:
        self._x, self._change = x, change
        self.shape, self.dtype = tuple(x.shape), x.dtype

    def __len__(self) -> int:
        return len(self._x)

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Return examples ``[n, ...]`` for a slice or an array of numbers or booleans."""
        return self._change(self._x[rows], np.arange(len(self))[rows])


def rotate(x: np.ndarray, degrees: float, image_shape: tuple[int, ...] | None) -> np.ndarray:
    """Turn images counter-clockwise about their middle; what comes in from outside is 0.

    Features are interpolated between the four pixels around the place they come from (bilinear); spikes are
    those of the nearest pixel, and so stay whole numbers.  Multiples of 90 degrees turn square images
    exactly.

    *Assumes* that 0 is the background: with a scaler a feature it is each pixel's least value in training.

    Args:
        x: ``[N, C H W]``, or spikes ``[N, T, C H W]``.
        degrees: The angle.
        image_shape: ``(C, H, W)``.

    Raises:
        DataError: If there are no images, or the angle is not finite.
    """
    angle = np.deg2rad(check_number("degrees", degrees, -np.inf) % 360)
    height, width = _images(x, image_shape)[1:]
    down, right = np.mgrid[:height, :width] - np.array([(height - 1) / 2, (width - 1) / 2])[:, None, None]
    # Rounded, so that a cosine of 6e-17 does not move a right angle.
    source_y = np.round(np.cos(angle) * down + np.sin(angle) * right + (height - 1) / 2, 9)
    source_x = np.round(np.cos(angle) * right - np.sin(angle) * down + (width - 1) / 2, 9)
    images = x.reshape(*x.shape[:-1], -1, height * width)
    if x.ndim == 3:
        nearest = np.floor(source_y + 0.5).astype(int), np.floor(source_x + 0.5).astype(int)
        return _pixels(images, *nearest, (height, width)).reshape(x.shape)
    top, left = np.floor(source_y).astype(int), np.floor(source_x).astype(int)
    turned = np.zeros(images.shape)
    for y in (top, top + 1):
        for across in (left, left + 1):
            share = (1 - np.abs(source_y - y)) * (1 - np.abs(source_x - across))
            turned += share.ravel() * _pixels(images, y, across, (height, width))
    return np.clip(turned, 0.0, 1.0).astype(x.dtype).reshape(x.shape)


def upside_down(x: np.ndarray, image_shape: tuple[int, ...] | None) -> np.ndarray:
    """Mirror images or recordings top to bottom.

    Args:
        x: ``[N, C H W]``, or spikes ``[N, T, C H W]``.
        image_shape: ``(C, H, W)``.

    Raises:
        DataError: If there are no images.
    """
    shape = _images(x, image_shape)
    return x.reshape(*x.shape[:-1], *shape)[..., ::-1, :].reshape(x.shape)


def shuffle_pixels(x: np.ndarray, seed: int, image_shape: tuple[int, ...] | None = None) -> np.ndarray:
    """Put pixels elsewhere, all examples and time steps alike: each keeps its values, none its neighbours.

    Args:
        x: ``[N, F]``, or spikes ``[N, T, I]``.
        seed: Seed of the new places.
        image_shape: ``(C, H, W)``, whose channels stay together; None moves each feature by itself.

    Raises:
        DataError: If the inputs are not of that shape.
    """
    channels = 1 if image_shape is None else _images(x, image_shape)[0]
    places = np.random.default_rng(check_count("seed", seed, 0)).permutation(x.shape[-1] // channels)
    return x.reshape(*x.shape[:-1], channels, -1)[..., places].reshape(x.shape)


def noise_like(x: np.ndarray, numbers: np.ndarray, seed: int) -> np.ndarray:
    """Noise in place of each example: uniform features, or a recording's spikes strewn over its bins.

    A recording so keeps its number of spikes, and nothing of where and when they were.

    Args:
        x: ``[n, F]``, or spikes ``[n, T, I]``.
        numbers: Of these examples in their data set, ``[n]``, which the noise belongs to.
        seed: Seed of the noise.

    Raises:
        DataError: If the seed is negative.
    """
    check_count("seed", seed, 0)
    out = np.empty_like(x)
    for row, number in enumerate(numbers.tolist()):
        rng = np.random.default_rng([seed, number])
        if x.ndim == 3:
            out[row] = rng.permutation(x[row].ravel()).reshape(x.shape[1:])
        else:
            out[row] = rng.random(x.shape[1:])
    return out


def chosen_signs(shape: tuple[int, ...], fraction: float, seed: int, stream: int = 0) -> np.ndarray:
    """Signs to multiply synapses with: -1 at a share of them, +1 elsewhere.

    What is -1 for a fraction is so for all larger ones.

    Args:
        shape: Of the synapses.
        fraction: The share, in [0, 1]; the number is rounded, to even at a half.
        seed: Seed of the places.
        stream: Sets apart what has the same seed and other places, such as layers.

    Returns:
        float32, of this shape.

    Raises:
        DataError: If the fraction or the seed is out of range.
    """
    check_number("fraction", fraction, 0.0, 1.0)
    size = prod(shape)
    order = np.random.default_rng([check_count("seed", seed, 0), stream]).permutation(size)
    signs = np.ones(size, np.float32)
    signs[order[: round(fraction * size)]] = -1.0
    return signs.reshape(shape)


def _images(x: np.ndarray, image_shape: tuple[int, ...] | None) -> tuple[int, int, int]:
    if image_shape is None or len(image_shape) != 3 or min(image_shape[1:]) < 2:
        raise DataError(f"this is for images and the image shape is {image_shape}; expected (C, H, W)")
    if x.ndim not in (2, 3) or x.shape[-1] != prod(image_shape):
        raise DataError(f"x has shape {x.shape}; expected images {image_shape} along the last axis")
    channels, height, width = image_shape
    return channels, height, width


def _pixels(images: np.ndarray, y: np.ndarray, x: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the pixels ``[..., H W]`` that stand at rows ``y`` and columns ``x``, 0 beyond the border."""
    inside = (y >= 0) & (y < size[0]) & (x >= 0) & (x < size[1])
    places = np.where(inside, y * size[1] + x, 0).ravel()
    return images[..., places] * inside.ravel().astype(images.dtype)
