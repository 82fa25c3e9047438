"""Randomness that belongs to a point: keys made of a seed and the point's own values.

A key is 64 bits.  Points with the same values have the same key, in whichever order and with whichever other
points they are evaluated, so that what is drawn from it does not depend on batches, subsets or permutations.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

Keys = NDArray[np.uint64]
"""Sources of random numbers, of any shape."""

HIDDEN_SPIKES = "hidden spikes"
"""Purpose of a stochastic neuron's noise."""

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_FACTORS = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def point_keys(points: Iterable[NDArray[Any]], seed: int, purpose: str) -> Keys:
    """Return one key per point, a hash (BLAKE2b) of seed, purpose and the point's values.

    Args:
        points: arrays; their values count in single precision, 0 and -0 as equal.
        seed: of all keys.
        purpose: what is drawn from them; different purposes are independent.

    Example:
        >>> one, two, again = point_keys(np.array([[0.1, 0.2], [0.2, 0.1], [0.1, 0.2]]), 0, "example")
        >>> one == again, one == two
        (np.True_, np.False_)
    """
    begun = hashlib.blake2b(f"{seed} {purpose}:".encode(), digest_size=8)
    found = bytearray()
    for point in points:
        of_one = begun.copy()
        of_one.update(np.add(point, 0, dtype=np.float32, order="C", casting="unsafe"))
        found += of_one.digest()
    return np.frombuffer(bytes(found), np.uint64)


def branch(keys: ArrayLike, index: ArrayLike) -> Keys:
    """Return keys of their own for the parts ``index`` of what has these keys; the two broadcast.

    They are the outputs ``index`` of SplitMix64 (Steele, Lea and Flood 2014) that is seeded with the key.
    """
    with np.errstate(over="ignore"):  # numbers modulo 2**64
        z = np.atleast_1d(
            np.asarray(keys, np.uint64) + (np.asarray(index, np.uint64) + np.uint64(1)) * _GAMMA
        )
        for shift, factor in zip((30, 27), _FACTORS, strict=True):
            z ^= z >> np.uint64(shift)
            z *= factor
        z ^= z >> np.uint64(31)
    return z


def uniform(keys: Keys, n: int, dtype: DTypeLike = np.float32) -> NDArray[Any]:
    """Return n numbers per key, uniform in [0, 1): ``[*keys.shape, n]``, of 24 bits or, in double, 53."""
    bits = np.finfo(dtype).nmant + 1
    drawn = branch(keys[..., None], np.arange(n))
    drawn >>= np.uint64(64 - bits)
    return drawn.astype(dtype) * np.asarray(2.0**-bits, dtype)
