"""The single-step neuron: a threshold and nothing that lasts."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from bisnn_pyro.errors import ModelError
from bisnn_pyro.models.kernels import FilterState, ResetState
from bisnn_pyro.models.neurons import Neuron
from bisnn_pyro.models.surrogate import SingleStep, Surrogate


class _Threshold(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, current: Tensor, threshold: float, surrogate: Surrogate) -> tuple[Tensor, Tensor]:
        potential = current - threshold
        ctx.save_for_backward(surrogate.remember(potential).reshape(current.shape))
        ctx.surrogate = surrogate
        ctx.mark_non_differentiable(potential)
        ctx.set_materialize_grads(False)
        return (potential >= 0).to(current.dtype), potential

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor | None, *_: Tensor | None) -> tuple[Tensor | None, ...]:
        (remembered,) = ctx.saved_tensors
        return None if grad is None else ctx.surrogate.backward(grad, remembered), None, None


@dataclass(frozen=True)
class SingleStepNeuron(Neuron):
    r"""Neuron without time: :math:`s = 1[I \ge u_{th}]` (S2NN, arXiv 2201.10879v1; S3NN in v2).

    No synaptic trace, no reset, no state: the trace of a spike is the spike.  Meant for one step (a constant
    current, ``encoder.n_steps = 1``), where a network of it is one forward pass.  Several steps are as
    many independent presentations, none of which knows of another; a random encoding's are averaged in
    the read-out, and a constant current's are all alike, a waste.

    Potentials are reported relative to the threshold, ``u = I - threshold``, as other neurons' are.

    .. warning::
        A current of unit scale and mean 0, as ``normalise`` gives, reaches a threshold of 1 in a sixth of
        the units; a much smaller one reaches it nowhere, and a silent layer tells the next nothing.  One
        notices as ``rate_k`` near 0 in :meth:`SpikingGLM.activity`: raise ``gain``, normalise, or lower
        the threshold.

    Args:
        threshold: :math:`u_{th}`; the paper's is 1.
        surrogate: ``ds/du``.

    Raises:
        ModelError: if the threshold is not a finite number.
    """

    linear: ClassVar[bool] = True
    threshold: float = 1.0
    surrogate: Surrogate = field(default_factory=SingleStep)

    def __post_init__(self) -> None:
        if not math.isfinite(self.threshold):
            raise ModelError(f"neuron threshold must be a finite number, not {self.threshold}")

    def trace(self, spikes: Tensor, state: FilterState | None) -> tuple[Tensor, FilterState]:
        """Return the spikes themselves, and a state of zeros."""
        rest = _rest(spikes)
        return spikes, FilterState(rest, rest)

    def fire(self, current: Tensor, state: ResetState | None) -> tuple[Tensor, Tensor, ResetState]:
        """Return spikes, potentials relative to the threshold, and a state of zeros."""
        spikes, potential = _Threshold.apply(current, self.threshold, self.surrogate)
        rest = _rest(current)
        return spikes, potential, ResetState(rest, rest)


def _rest(x: Tensor) -> Tensor:
    """Return zeros ``[*S, B, I]`` for ``x`` ``[*S, T, B, I]``, in the memory of one."""
    return x.new_zeros(()).expand(*x.shape[:-3], *x.shape[-2:])
