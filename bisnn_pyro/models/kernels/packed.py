"""Binary layers in packed arithmetic: spikes and synapses as bits, sums by population count.

For spikes s in {0,1} and weights w in {-1,+1} the sum over inputs is
``2 popcount(s & [w = +1]) - popcount(s)``: an exact integer, 32 synapses an operation.  The weights stay
the same over the sequence, so the synaptic filter runs after the sum, fused with the reset, and nothing
of size time x units is ever stored in floating point.

Bits are little-endian within 32-bit words: unit ``j`` is bit ``j % 32`` of word ``j // 32``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from bisnn_pyro.compute.jit import compiled

Words = NDArray[np.uint32]
Floats = NDArray[np.float32]

WORD = 32


@intrinsic
def _popcount(typing_context: Any, x: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint32(types.uint32), generate


def n_words(n_units: int) -> int:
    """Return how many words ``n_units`` bits take."""
    return -(-n_units // WORD)


def pack(bits: NDArray[Any]) -> Words:
    """Pack the last axis of an array of zeros and non-zeros, ``[..., I]`` to ``[..., n_words(I)]``."""
    n = bits.shape[-1]
    padded = np.zeros((*bits.shape[:-1], n_words(n) * WORD), dtype=bool)
    padded[..., :n] = bits
    return np.packbits(padded, axis=-1, bitorder="little").view(np.uint32)


def unpack(words: Words, n_units: int) -> NDArray[np.uint8]:
    """Undo :func:`pack`, as bytes 0 and 1 ``[..., n_units]``."""
    as_bytes = np.ascontiguousarray(words).view(np.uint8)
    return np.unpackbits(as_bytes, axis=-1, count=n_units, bitorder="little")


def pack_weights(weights: NDArray[Any]) -> Words:
    """Pack signs ``[S, O, I]`` as ``[S, n_words(I), O]``: the units of a word side by side."""
    return np.ascontiguousarray(np.swapaxes(pack(weights > 0), -1, -2))


@compiled(inline=True)
def _sums(bits, weights, counts):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    n_units = counts.size
    total = types.int32(0)
    for m in range(n_units):
        counts[m] = 0
    for k in range(bits.size):
        word = bits[k]
        if word != 0:
            total += types.int32(_popcount(word))
            row = weights[k]
            for m in range(n_units):
                counts[m] += types.int32(_popcount(row[m] & word))
    for m in range(n_units):
        counts[m] = 2 * counts[m] - total


@compiled(inline=True)
def _fire(drive, scale, offset, decays, p, q, r, s, bits):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    a, b, c, reset = decays
    for m in range(drive.size):
        p[m] = a * p[m] + q[m]
        q[m] = b * q[m] + drive[m]
        r[m] = c * r[m] + s[m]
        u = scale[m] * p[m] + offset[m] - reset * r[m]
        s[m] = np.float32(1) if u >= np.float32(0) else np.float32(0)
    for k in range(bits.size):
        word = np.uint32(0)
        start = k * 32
        for j in range(min(32, drive.size - start)):
            word |= np.uint32(s[start + j]) << np.uint32(j)
        bits[k] = word


@compiled
def fire_bits(bits, weights, scale, offset, decays, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Run one layer: input bits ``[T, B, K]``, packed weights ``[K, O]``, output bits ``[T, B, .]``."""
    n_steps, n_examples, _ = bits.shape
    n_units = weights.shape[1]
    counts = np.empty(n_units, np.int32)
    drive = np.empty(n_units, np.float32)
    for example in range(n_examples):
        p, q = np.zeros(n_units, np.float32), np.zeros(n_units, np.float32)
        r, s = np.zeros(n_units, np.float32), np.zeros(n_units, np.float32)
        for t in range(n_steps):
            _sums(bits[t, example], weights, counts)
            for m in range(n_units):
                drive[m] = np.float32(counts[m])
            _fire(drive, scale, offset, decays, p, q, r, s, out[t, example])


@compiled
def fire_drive(drive, n_steps, scale, offset, decays, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Run one layer on sums ``[T or 1, B, O]`` that are known already; one step stands for all."""
    n_examples, n_units = drive.shape[1:]
    for example in range(n_examples):
        p, q = np.zeros(n_units, np.float32), np.zeros(n_units, np.float32)
        r, s = np.zeros(n_units, np.float32), np.zeros(n_units, np.float32)
        for t in range(n_steps):
            row = drive[t % drive.shape[0], example]
            _fire(row, scale, offset, decays, p, q, r, s, out[t, example])


@compiled
def sum_bits(bits, weights, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Write the sums of bits ``[T, B, K]`` over packed weights ``[K, O]`` to ``out`` ``[T, B, O]``."""
    n_steps, n_examples, _ = bits.shape
    counts = np.empty(weights.shape[1], np.int32)
    for t in range(n_steps):
        for example in range(n_examples):
            _sums(bits[t, example], weights, counts)
            for m in range(counts.size):
                out[t, example, m] = np.float32(counts[m])
