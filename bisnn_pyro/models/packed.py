"""Binary layers in packed arithmetic: spikes and synapses as bits, sums by population count.

For spikes s in {0,1} and weights w in {-1,+1} the sum over inputs is
``2 popcount(s & [w = +1]) - popcount(s)``: an exact integer, computed for 32 synapses per operation.
The weights stay the same over the sequence, so the synaptic filter runs after the sum, fused with the
reset, and nothing of size time x units is stored in floating point.

Bits are little-endian within 32-bit words: unit ``j`` is bit ``j % 32`` of word ``j // 32``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray
from torch import Tensor

from bisnn_pyro.compute.jit import compiled
from bisnn_pyro.models.kernels.numba_backend import filter_sequence
from bisnn_pyro.models.layers import ConvSynapses, DenseSynapses
from bisnn_pyro.models.network import SpikingGLM
from bisnn_pyro.models.neurons import ThresholdNeuron

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


class PackedInput(NamedTuple):
    """Inputs of a block of examples: spikes as bits, or currents of any value.

    Attributes:
        bits: ``[T, B, K]``, or ``None``.
        current: ``[T, B, I]``, one step if it is constant; used where ``bits`` is ``None``.
        n_steps: T.
    """

    bits: Words | None
    current: Tensor | None
    n_steps: int

    @classmethod
    def of(cls, spikes: Tensor) -> PackedInput:
        """Pack inputs ``[T, B, I]``; a constant current (stride 0 in time) is kept as one step."""
        if spikes.stride(0) == 0 and spikes.shape[0] > 1:
            return cls(None, spikes[:1].float(), spikes.shape[0])
        if bool(((spikes == 0) | (spikes == 1)).all()):
            return cls(pack(spikes.numpy()), None, spikes.shape[0])
        return cls(None, spikes.float(), spikes.shape[0])


class _Layer(NamedTuple):
    words: Words
    weights: Tensor
    scale: Floats
    offset: Floats


class PackedNetwork:
    """Runs binary draws of a network; equal to ``simulate`` except for rounding at the threshold.

    Sums over inputs are exact integers; the synaptic filter runs after them, in float32.  Only a spike
    whose potential rounds to the other side of the threshold can differ.

    Args:
        model: a network for which :func:`why_not_packed` gives ``None``.
    """

    def __init__(self, model: SpikingGLM) -> None:
        neuron: Any = model.neuron
        a, b, c = neuron.constants.decays
        self.model = model
        self.unit_gain = 1 / neuron.constants.dc_gain
        self.synapse = (a, b)
        self.decays = tuple(np.float32(v) for v in (a, b, c, neuron.reset))
        self.reference = None if model.reference is None else PackedInput.of(model.reference)

    def prepare(self, weights: Mapping[str, Tensor]) -> list[_Layer]:
        """Pack one draw, weights ``[O, I]`` in {-1, +1}; a normalised network runs its reference here."""
        layers = []
        hidden = self.reference
        for k, synapses in enumerate(self.model.synapses):
            w = weights[f"layers.{k}.weight"]
            scale = np.full(w.shape[0], synapses.gain * self.unit_gain / math.sqrt(w.shape[1]), np.float32)
            offset = np.zeros(w.shape[0], np.float32)
            if synapses.bias is not None:
                offset = synapses.bias.detach().numpy().astype(np.float32)
            layer = _Layer(pack_weights(w[None].numpy())[0], w, scale, offset)
            if hidden is not None:
                layer = self._normalised(layer, synapses.normalisation, hidden)
                hidden = self._fire(layer, hidden)
            layers.append(layer)
        return layers

    def _normalised(self, layer: _Layer, normalisation: Any, reference: PackedInput) -> _Layer:
        sums = torch.from_numpy(self._sums(layer, reference))
        current = self._filter(sums).double() * torch.from_numpy(layer.scale / self.unit_gain)
        variance, mean = torch.var_mean(current, dim=(0, 1), correction=0)
        gain = normalisation.gain.detach() * torch.rsqrt(variance + normalisation.eps)
        offset = normalisation.offset.detach() - mean * gain
        return layer._replace(
            scale=(layer.scale * gain.numpy()).astype(np.float32), offset=offset.numpy().astype(np.float32)
        )

    def readout(self, layers: Sequence[_Layer], weights: Mapping[str, Tensor], x: PackedInput) -> Tensor:
        """Return the last read-out ``[T, B, C]`` of one draw."""
        for layer in layers:
            x = self._fire(layer, x)
        assert x.bits is not None
        trained = self.model.readout
        if trained is None:
            matrix = self.model.random_readout(-1)
            return torch.from_numpy(_sum(x.bits, matrix)) * float(matrix.abs().max())
        w = weights["readout.weight"]
        return self._filter(torch.from_numpy(_sum(x.bits, w))) * (trained.gain / math.sqrt(trained.fan_in))

    def _filter(self, sums: Tensor) -> Tensor:
        """Filter sums ``[T, B, O]`` to unit gain; a constant one is repeated first."""
        flat = sums.reshape(1, sums.shape[0], -1)
        rest = flat.new_zeros(1, flat.shape[-1])
        return filter_sequence(flat, *self.synapse, self.unit_gain, rest, rest)[0].reshape(sums.shape)

    def _sums(self, layer: _Layer, x: PackedInput) -> Floats:
        if x.bits is not None:
            return _sum(x.bits, layer.weights, layer.words)
        assert x.current is not None
        return torch.matmul(x.current, layer.weights.T).expand(x.n_steps, -1, -1).contiguous().numpy()

    def _fire(self, layer: _Layer, x: PackedInput) -> PackedInput:
        n_examples = (x.bits if x.bits is not None else x.current).shape[1]  # type: ignore[union-attr]
        shape = (x.n_steps, n_examples, n_words(layer.scale.size))
        out = np.empty(shape, np.uint32)
        if x.bits is not None:
            fire_bits(x.bits, layer.words, layer.scale, layer.offset, self.decays, out)
        else:
            assert x.current is not None
            drive = torch.matmul(x.current, layer.weights.T).contiguous().numpy()
            fire_drive(drive, x.n_steps, layer.scale, layer.offset, self.decays, out)
        return PackedInput(out, None, x.n_steps)


def _sum(bits: Words, weights: Tensor, words: Words | None = None) -> Floats:
    out = np.empty((*bits.shape[:2], weights.shape[0]), np.float32)
    sum_bits(bits, pack_weights(weights[None].numpy())[0] if words is None else words, out)
    return out


def why_not_packed(model: SpikingGLM, weights: Mapping[str, Tensor]) -> str | None:
    """Return why a network and its draws cannot run in packed arithmetic, or ``None`` if they can."""
    if type(model) is not SpikingGLM:
        return "the network is a subclass of SpikingGLM"
    if type(model.neuron) is not ThresholdNeuron:
        return "the neurons are not threshold neurons"
    for k, layer in enumerate(model.synapses):
        if type(layer) is not DenseSynapses:
            kind = "convolutional" if isinstance(layer, ConvSynapses) else "recurrent"
            return f"hidden layer {k} is {kind}, and only dense layers without lateral synapses can be packed"
    for name, w in weights.items():
        if w.device.type != "cpu" or w.dtype != torch.float32:
            return f"{name} is not a float32 tensor on the CPU"
        if not bool((w.abs() == 1).all()):
            return f"{name} is not binary"
    return None
