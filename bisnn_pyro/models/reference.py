"""The reference batch of a normalised network, and statistics on it, layer after layer, in bounded memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bisnn_pyro.errors import ModelError
from bisnn_pyro.models.normalisation import Moments
from bisnn_pyro.models.simulation import LayerRun

if TYPE_CHECKING:
    from bisnn_pyro.models.network import SpikingGLM


def compact(spikes: Tensor) -> Tensor:
    """Return the same reference batch ``[T, R, I]``, a constant current in the memory of one step."""
    if spikes.shape[0] > 1 and torch.equal(spikes[1:], spikes[:1].expand_as(spikes[1:])):
        return spikes[:1].expand_as(spikes)
    return spikes


def check_reference(reference: Tensor | None, n_steps: int) -> None:
    """Refuse to predict on so many steps without a reference batch of as many.

    Raises:
        ModelError: if there is no reference batch, or it has another number of steps.
    """
    if reference is None:
        raise ModelError(
            "normalise = true needs a reference batch to predict: call model.set_reference(spikes) "
            "with encoded training inputs [T, R, I]"
        )
    if reference.shape[0] != n_steps:
        raise ModelError(f"the reference batch has {reference.shape[0]} steps, the input {n_steps}")


def moments_of(
    model: SpikingGLM, reference: Tensor, weights: Mapping[str, Tensor], n_examples: int
) -> list[Moments]:
    """Return the moments of each hidden layer's currents on the reference batch.

    A layer is normalised by statistics over the whole batch, so all parts of it go through one layer before
    any goes through the next; in between their spikes are kept, a byte each.

    Args:
        model: a normalised network.
        reference: inputs ``[T, R, I]``.
        weights: ``[*S, O, I]`` for each name in ``model.weight_sites``.
        n_examples: how many examples a part has; bounds the memory of the currents.
    """
    some = next(iter(weights.values()))
    parts = list(reference.to(some).split(n_examples, dim=-2))
    sizes = [part.shape[-2] for part in parts]
    found: list[Moments] = []
    for k, (synapses, pool) in enumerate(zip(model.synapses, model.pools, strict=True)):
        layer = LayerRun(model.neuron, synapses, weights, k)
        assert synapses.normalisation is not None
        of_parts = []
        for part in parts:
            sums = layer.sums(part.to(some.dtype), None, carry=False)[0]
            of_parts.append(synapses.normalisation.moments(sums))
        found.append(Moments.merged(of_parts, sizes))
        if k + 1 == len(model.synapses):
            break
        for i, part in enumerate(parts):
            if len(parts) > 1:  # of a single part they are at hand
                sums = layer.sums(part.to(some.dtype), None, carry=False)[0]
            spikes, *_ = layer.fire(synapses.finished(sums, found[k]), None, through_time=False, record=False)
            parts[i] = _small(spikes if pool is None else pool(spikes))
    return found


def _small(spikes: Tensor) -> Tensor:
    """Return zeros and ones as bytes, and other values as they are."""
    small = spikes.to(torch.uint8)
    return small if torch.equal(small.to(spikes.dtype), spikes) else spikes
