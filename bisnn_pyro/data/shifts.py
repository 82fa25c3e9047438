"""Changes of test points that a network was not trained for: noise, rotations, shuffled pixels.

All functions take scaled images or other features ``[N, F]`` in [0, 1], or ready spikes ``[N, T, I]``, and
return new arrays of the same shape and type.  Random numbers depend on the example's own values (noise on
features) or on its number, so that it changes in the same way in whichever batches the examples are read.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from bisnn_pyro.data.checks import check_count, check_number
from bisnn_pyro.errors import DataError
from bisnn_pyro.keys import point_keys

Change = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Maps examples ``[n, ...]`` and their numbers ``[n]`` to others of the same shape and type."""


class ChangedRows:
    """An array ``[N, ...]`` whose examples are changed when they are read, and not kept.

    Args:
        x: The examples, an array or :class:`~bisnn_pyro.data.Recordings`.
        change: Applied to those that are read.

    Example:
        >>> import numpy as np
        >>> rows = ChangedRows(np.arange(6).reshape(3, 2), lambda x, numbers: x + 10 * numbers[:, None])
        >>> rows[1:].tolist()
        [[12, 13], [24, 25]]
    """

    def __init__(self, x: Any, change: Change) -> None:
        self._x, self._change = x, change
        self.shape, self.dtype = tuple(x.shape), x.dtype

    def __len__(self) -> int:
        return len(self._x)

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Return examples ``[n, ...]`` for a slice or an array of numbers or booleans."""
        return self._change(self._x[rows], np.arange(len(self))[rows])


def gaussian_noise(x: np.ndarray, std: float, seed: int) -> np.ndarray:
    """Add Gaussian noise to scaled features and clip them back to [0, 1].

    The noise of an example depends on the seed and its own values alone, and is in proportion to ``std``.

    Args:
        x: Features in [0, 1], ``[N, ...]``.
        std: Standard deviation of the noise, in scaled units; 0 gives an equal copy.
        seed: Seed of the noise.

    Returns:
        Noisy features in [0, 1]; shape and dtype of ``x``.

    Raises:
        DataError: If ``std`` or the seed is negative.
    """
    std = check_number("std", std, 0.0)
    array = np.asarray(x)
    noise = np.empty(array.shape)
    for of_one, key in zip(
        noise, point_keys(array, check_count("seed", seed, 0), "noise").tolist(), strict=True
    ):
        of_one[...] = np.random.default_rng(key).standard_normal(of_one.shape)
    return np.clip(array + std * noise, 0.0, 1.0).astype(array.dtype)


def rotate(x: np.ndarray, degrees: float, image_shape: tuple[int, ...] | None) -> np.ndarray:
    """Rotate images counter-clockwise about their centre; pixels that enter from beyond the border are 0.

    Features are interpolated between four pixels (bilinear); spikes are taken from the nearest pixel, and
    so stay whole numbers.  Multiples of 90 degrees are exact for square images.

    *Assumes* that 0 is the background: with one scale per feature it is each pixel's minimum in training.

    Args:
        x: ``[N, C H W]``, or spikes ``[N, T, C H W]``.
        degrees: The angle.
        image_shape: ``(C, H, W)``.

    Raises:
        DataError: If there are no images, or the angle is not finite.

    Example:
        >>> import numpy as np
        >>> image = np.array([[0.0, 0.5, 1.0, 0.0]], np.float32)  # rows 0, 0.5 and 1, 0
        >>> rotate(image, 90, (1, 2, 2)).reshape(2, 2)
        array([[0.5, 0. ],
               [0. , 1. ]], dtype=float32)
    """
    angle = np.deg2rad(check_number("degrees", degrees, -np.inf) % 360)
    height, width = _images(x, image_shape)[1:]
    down, right = np.mgrid[:height, :width] - np.array([(height - 1) / 2, (width - 1) / 2])[:, None, None]
    # Rounded, so that a cosine of 6e-17 does not disturb a right angle.
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
    """Permute pixels, in the same way for all examples and time steps.

    Args:
        x: ``[N, F]``, or spikes ``[N, T, I]``.
        seed: Seed of the permutation.
        image_shape: ``(C, H, W)``, whose channels stay together; None moves each feature by itself.

    Raises:
        DataError: If the inputs are not of that shape.
    """
    channels = 1 if image_shape is None else _images(x, image_shape)[0]
    places = np.random.default_rng(check_count("seed", seed, 0)).permutation(x.shape[-1] // channels)
    return x.reshape(*x.shape[:-1], channels, -1)[..., places].reshape(x.shape)


def noise_like(x: np.ndarray, numbers: np.ndarray, seed: int) -> np.ndarray:
    """Replace each example by noise: uniform features, or a recording's spikes permuted over its bins.

    A recording keeps its number of spikes, and loses where and when they were.

    Args:
        x: ``[n, F]``, or spikes ``[n, T, I]``.
        numbers: Indices of these examples in their data set, ``[n]``, which determine the noise.
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
    """Signs to multiply synapses with: -1 for a fraction of them, which are flipped, +1 for the others.

    The synapses flipped at one fraction are also flipped at all larger ones.

    Args:
        shape: Of the synapses.
        fraction: The fraction, in [0, 1]; the number is rounded, halves to even.
        seed: Seed of the choice.
        stream: Makes choices with the same seed independent, such as those of different layers.

    Returns:
        float32, of this shape.

    Raises:
        DataError: If the fraction or the seed is out of range.

    Example:
        >>> chosen_signs((2, 4), fraction=0.25, seed=0).sum()
        np.float32(4.0)
    """
    check_number("fraction", fraction, 0.0, 1.0)
    size = prod(shape)
    order = np.random.default_rng([check_count("seed", seed, 0), stream]).permutation(size)
    signs = np.ones(size, np.float32)
    signs[order[: round(fraction * size)]] = -1.0
    return signs.reshape(shape)


def _images(x: np.ndarray, image_shape: tuple[int, ...] | None) -> tuple[int, int, int]:
    if image_shape is None or len(image_shape) != 3 or min(image_shape[1:]) < 2:
        raise DataError(f"this change needs images and the image shape is {image_shape}; expected (C, H, W)")
    if x.ndim not in (2, 3) or x.shape[-1] != prod(image_shape):
        raise DataError(f"x has shape {x.shape}; expected images {image_shape} along the last axis")
    channels, height, width = image_shape
    return channels, height, width


def _pixels(images: np.ndarray, y: np.ndarray, x: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the pixels ``[..., H W]`` at rows ``y`` and columns ``x``, 0 beyond the border."""
    inside = (y >= 0) & (y < size[0]) & (x >= 0) & (x < size[1])
    places = np.where(inside, y * size[1] + x, 0).ravel()
    return images[..., places] * inside.ravel().astype(images.dtype)
