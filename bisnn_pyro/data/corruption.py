"""Shifted inputs, to see how confident a network is away from its training data."""

from __future__ import annotations

import numpy as np

from bisnn_pyro.data.checks import check_count, check_number


def gaussian_noise(x: np.ndarray, std: float, seed: int) -> np.ndarray:
    """Add Gaussian noise to scaled features and clip them back to [0, 1].

    Args:
        x: Features in [0, 1], any shape.
        std: Standard deviation of the noise, in scaled units; 0 gives an equal copy.
        seed: Seed of the noise.

    Returns:
        Noisy features in [0, 1]; shape and dtype of ``x``.

    Raises:
        DataError: If ``std`` or the seed is negative.
    """
    std = check_number("std", std, 0.0)
    rng = np.random.default_rng(check_count("seed", seed, 0))
    array = np.asarray(x)
    return np.clip(array + std * rng.standard_normal(array.shape), 0.0, 1.0).astype(array.dtype)
