"""Two ways to run the networks of a committee; both bound their memory, and both say which ran."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from bisnn_pyro.errors import ModelError
from bisnn_pyro.models import ConvSynapses, RecurrentSynapses, SpikingGLM, Window
from bisnn_pyro.models.kernels import current_backend
from bisnn_pyro.models.packed_network import PackedInput, PackedNetwork, why_not_packed

Weights = dict[str, Tensor]
Source = Callable[[int, int], Weights]
"""Weights ``[n, O, I]`` of members ``first .. first + n - 1``."""

PATHS = ("auto", "packed", "dense")


class Part(NamedTuple):
    """Read-outs ``[n, B, T', C]`` of members and points that start at these indices."""

    member: int
    point: int
    readout: Tensor


def dense_parts(
    model: SpikingGLM, source: Source, blocks: Sequence[Tensor], n_draws: int, memory: int
) -> Iterator[Part]:
    """Run draws side by side in floating point; any neuron, any weights, any device.

    Chunked over draws and examples, and over time where one example alone is too much.
    """
    total = blocks[0].shape[0]
    need = bytes_per_example(model, total)
    fitting, most = memory // need, max(block.shape[1] for block in blocks)
    n_reference = model.reference.shape[-2] if model.normalise and model.reference is not None else 0
    # A large reference runs once for each draw, a small one with each chunk.
    ahead = fitting < n_reference + min(most, n_reference // 4)
    beside = 0 if ahead else n_reference
    # A normalised network's statistics are those of the whole sequence.
    n_steps = total if model.normalise else max(1, min(total, total * memory // need))
    chunked = n_steps < total
    n_examples = max(1, min(most, fitting - beside))
    n_members = max(1, min(n_draws, memory // (need * (n_examples + beside))))
    for first in range(0, n_draws, n_members):
        weights = source(first, min(n_members, n_draws - first))
        some = next(iter(weights.values()))
        device, dtype = some.device, some.dtype
        moments = model.reference_moments(weights, n_examples) if ahead else None
        point = 0
        for block in blocks:
            for spikes in block.split(n_examples, dim=1):
                readouts, state = [], None
                for part in spikes.split(n_steps, dim=0):
                    part = part.to(device=device, dtype=dtype)
                    run = model.simulate(weights, part, state, record=False, carry=chunked, moments=moments)
                    readouts.append(run.readouts[-1])
                    state = run.state
                yield Part(first, point, _counted(model, torch.cat(readouts, dim=-3)))
                point += spikes.shape[1]


def packed_parts(model: SpikingGLM, source: Source, blocks: Sequence[Tensor], n_draws: int) -> Iterator[Part]:
    """Run one draw a thread in packed arithmetic; as many threads as torch has."""
    for block in blocks:
        model.check_inputs(block)
    network = PackedNetwork(model)
    inputs = [PackedInput.of(block) for block in blocks]
    n_threads = torch.get_num_threads()

    def prepare(member: int) -> tuple[Weights, Any]:
        weights = {name: w[0] for name, w in source(member, 1).items()}
        return weights, network.prepare(weights)

    with ThreadPoolExecutor(n_threads) as pool:
        for first in range(0, n_draws, n_threads):
            members = list(pool.map(prepare, range(first, min(first + n_threads, n_draws))))
            point = 0
            for x, block in zip(inputs, blocks, strict=True):
                run = partial(_packed_readout, network, x)
                readouts = torch.stack(list(pool.map(run, members)))
                yield Part(first, point, _counted(model, readouts))
                point += block.shape[1]


def _packed_readout(network: PackedNetwork, x: PackedInput, member: tuple[Weights, Any]) -> Tensor:
    weights, layers = member
    return network.readout(layers, weights, x)


def choose_path(path: str, model: SpikingGLM, source: Source) -> str:
    """Return ``packed`` or ``dense``.

    Raises:
        ModelError: if ``packed`` was asked for and cannot run; the message says why.
    """
    if path not in PATHS:
        raise ModelError(f"unknown prediction path {path!r}; use one of {', '.join(PATHS)}")
    if path == "dense":
        return path
    reason = why_not_packed(model, source(0, 1))
    if current_backend() == "torch":
        reason = "the kernel backend is 'torch', and packed arithmetic is numba's"
    if path == "packed" and reason is not None:
        raise ModelError(f"packed prediction cannot run here: {reason}; use the path 'dense' or 'auto'")
    return "dense" if reason is not None else "packed"


def _counted(model: SpikingGLM, readout: Tensor) -> Tensor:
    # In double, so that a sure mistake costs what it should and not infinity.
    return model.counted(readout, Window(burn_in=model.burn_in)).double()


def bytes_per_example(model: SpikingGLM, n_steps: int) -> int:
    """Return what one example of one draw takes: trace, current, u and s of the widest layer, spikes.

    A convolution also holds its inputs in its own order, a pooling layer the place of each maximum, and
    lateral synapses the trace of what they hear.
    """
    at_once, kept = [], 0
    for layer, pool in zip(model.synapses, model.pools, strict=True):
        i, o = int(layer.n_inputs), int(layer.n_units)
        beside = i if isinstance(layer, ConvSynapses) else o if isinstance(layer, RecurrentSynapses) else 0
        pooled = 0 if pool is None else math.prod(pool.pooled)
        at_once.append(i + 4 * o + beside + 2 * pooled)
        kept += 2 * o + pooled
    return 4 * n_steps * (max(at_once) + kept)
