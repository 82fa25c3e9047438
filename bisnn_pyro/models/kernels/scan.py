r"""The reset: the only part of a spiking layer that must run step by step.

.. math:: R_t = c R_{t-1} + s_{t-1}, \quad u_t = I_t - \rho R_t, \quad s_t = 1[u_t \ge 0]

Given the spikes, the gradient of the whole sequence is elementwise: the reset path is detached, as in
the local rule of arXiv 2012.08300 (and as DECOLLE and much of the surrogate-gradient practice do).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from bisnn_pyro.models.kernels.backend import kernels_for
from bisnn_pyro.models.kernels.filter import flatten, flatten_state

if TYPE_CHECKING:
    from bisnn_pyro.models.surrogate import Surrogate


class ResetState(NamedTuple):
    """State of a layer's neurons after a step: R and the last spikes, each ``[*S, B, O]``."""

    r: Tensor
    s: Tensor


class _ThresholdScan(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        current: Tensor,
        noise: Tensor | None,
        r: Tensor,
        s: Tensor,
        c: float,
        reset: float,
        surrogate: Surrogate,
        record: bool,
    ) -> tuple[Tensor | None, ...]:
        kernels, drive = kernels_for(current), flatten(current if noise is None else current + noise)
        state = flatten_state(r), flatten_state(s)
        potential = None
        if record or noise is not None or surrogate.gate_width is None:
            spikes, potential, r, s = kernels.scan_sequence(drive, c, reset, *state)
            potential = potential.reshape(current.shape)
            if noise is not None:
                potential = potential - noise
            remembered = surrogate.remember(potential)
        else:
            spikes, remembered, r, s = kernels.scan_gated(drive, c, reset, surrogate.gate_width, *state)
        ctx.save_for_backward(remembered.reshape(current.shape))
        ctx.surrogate = surrogate
        state_shape = (*current.shape[:-3], *current.shape[-2:])
        r, s = r.reshape(state_shape), s.reshape(state_shape)
        ctx.mark_non_differentiable(*(x for x in (potential, r, s) if x is not None))
        ctx.set_materialize_grads(False)
        return spikes.reshape(current.shape), potential if record else None, r, s

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor | None, *_: Tensor | None) -> tuple[Tensor | None, ...]:
        (remembered,) = ctx.saved_tensors
        passed = None if grad is None else ctx.surrogate.backward(grad, remembered)
        return passed, None, None, None, None, None, None, None


def threshold_scan(
    current: Tensor,
    decay: float,
    surrogate: Surrogate,
    *,
    reset: float = 1.0,
    noise: Tensor | None = None,
    state: ResetState | None = None,
    record: bool = True,
) -> tuple[Tensor, Tensor, ResetState]:
    """Turn input currents into spikes.

    Args:
        current: ``[*S, T, B, O]``.
        decay: per-step factor c of the refractory trace.
        surrogate: gives ``ds/du`` in the backward pass, at the noise-free potential.
        reset: weight of the refractory trace.
        noise: added to the potential before the threshold, shape of ``current``.
        state: R and s of the step before the first; ``None`` means at rest.
        record: also return the potentials; without, they are ``None`` and a boxcar stores a byte instead.

    Returns:
        Spikes and noise-free potentials ``[*S, T, B, O]``, and the state after the last step.  Only the
        spikes carry a gradient, and only to ``current``.
    """
    if state is None:
        zero = current.new_zeros((*current.shape[:-3], *current.shape[-2:]))
        state = ResetState(zero, zero)
    spikes, potential, r, s = _ThresholdScan.apply(
        current, noise, state.r, state.s, decay, reset, surrogate, record
    )
    return spikes, potential, ResetState(r, s)
