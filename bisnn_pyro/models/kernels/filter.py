r"""Synaptic and refractory traces: causal linear filters over time.

.. math:: P_t = a P_{t-1} + Q_{t-1}, \quad Q_t = b Q_{t-1} + s_t, \quad R_t = c R_{t-1} + s_{t-1}

(BiSNN, arXiv 2012.08300).  The synaptic trace is divided by its response to a constant input, so it
stays in [0, 1] whatever the time constants; the paper's own trace reaches 68 with its constants.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from bisnn_pyro.errors import ModelError
from bisnn_pyro.models.kernels.backend import kernels_for


@dataclass(frozen=True)
class TimeConstants:
    """Time constants of a spike-response neuron, in steps (defaults: arXiv 2012.08300).

    Args:
        membrane: of the membrane, decay ``a = exp(-1/membrane)``.
        synapse: of the synapse, decay ``b``.
        refractory: of the reset, decay ``c``.
    """

    membrane: float = 10.0
    synapse: float = 6.0
    refractory: float = 2.0

    def __post_init__(self) -> None:
        for name in ("membrane", "synapse", "refractory"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ModelError(f"time constant {name!r} must be a positive number of steps, not {value}")

    @property
    def decays(self) -> tuple[float, float, float]:
        """The per-step factors (a, b, c)."""
        return math.exp(-1 / self.membrane), math.exp(-1 / self.synapse), math.exp(-1 / self.refractory)

    @property
    def dc_gain(self) -> float:
        """Response of the paper's trace P to a constant input of 1: ``1 / ((1-a)(1-b))``."""
        a, b, _ = self.decays
        return 1 / ((1 - a) * (1 - b))


class FilterState(NamedTuple):
    """State of a synaptic filter after a step: P and Q, each ``[*S, B, I]``."""

    p: Tensor
    q: Tensor


def flatten(x: Tensor) -> Tensor:
    """View ``[*S, T, B, I]`` as ``[S, T, B * I]``."""
    return x.reshape(math.prod(x.shape[:-3]), x.shape[-3], x.shape[-2] * x.shape[-1])


def flatten_state(x: Tensor) -> Tensor:
    """View ``[*S, B, I]`` as ``[S, B * I]``."""
    return x.reshape(math.prod(x.shape[:-2]), x.shape[-2] * x.shape[-1])


class _AlphaFilter(torch.autograd.Function):
    """The filter is linear and time-invariant: its adjoint is itself, run backwards in time."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, p: Tensor, q: Tensor, a: float, b: float, scale: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.decays, ctx.scale = (a, b), scale
        state = flatten_state(p), flatten_state(q)
        out, p, q = kernels_for(x).filter_sequence(flatten(x), a, b, scale, *state)
        state_shape = (*x.shape[:-3], *x.shape[-2:])
        p, q = p.reshape(state_shape), q.reshape(state_shape)
        ctx.mark_non_differentiable(p, q)
        ctx.set_materialize_grads(False)
        return out.reshape(x.shape), p, q

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor | None, *_: Tensor | None) -> tuple[Tensor | None, ...]:
        if grad is None:
            return None, None, None, None, None, None
        out = kernels_for(grad).filter_adjoint(flatten(grad), *ctx.decays, ctx.scale)
        return out.reshape(grad.shape), None, None, None, None, None


def alpha_filter(
    spikes: Tensor, constants: TimeConstants, state: FilterState | None = None
) -> tuple[Tensor, FilterState]:
    """Filter spikes into synaptic traces of unit DC gain.

    Gradients flow to ``spikes``, not to ``state``: windows are cut apart there.

    Args:
        spikes: ``[*S, T, B, I]``.
        constants: membrane and synapse are used.
        state: state after the step before the first; ``None`` means at rest.

    Returns:
        Traces ``[*S, T, B, I]`` and the (unscaled) state after the last step.
    """
    if state is None:
        zero = spikes.new_zeros((*spikes.shape[:-3], *spikes.shape[-2:]))
        state = FilterState(zero, zero)
    a, b, _ = constants.decays
    trace, p, q = _AlphaFilter.apply(spikes, state.p, state.q, a, b, 1 / constants.dc_gain)
    return trace, FilterState(p, q)


def refractory_trace(
    spikes: Tensor, decay: float, r: Tensor | None = None, last: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the refractory trace R of given (clamped) spikes, with its end state (R, s).

    Args:
        spikes: ``[*S, T, B, O]``; no gradient flows through.
        decay: per-step factor c.
        r: R of the step before the first, ``[*S, B, O]``; ``None`` means 0.
        last: spikes of the step before the first; ``None`` means silent.
    """
    spikes = spikes.detach()
    shape = (*spikes.shape[:-3], *spikes.shape[-2:])
    zero = spikes.new_zeros(shape)
    flat_r, flat_s = (flatten_state(zero if z is None else z) for z in (r, last))
    out, r, last = kernels_for(spikes).trace_sequence(flatten(spikes), decay, flat_r, flat_s)
    return out.reshape(spikes.shape), r.reshape(shape), last.reshape(shape)
