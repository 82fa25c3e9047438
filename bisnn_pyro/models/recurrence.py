r"""Lateral synapses: units that hear what their own layer fired before.

.. math:: u_t = I_t + V P_t - \rho R_t, \quad P_t = a P_{t-1} + Q_{t-1}, \quad Q_t = b Q_{t-1} + s_t

with the synaptic trace ``P`` of the layer's own spikes, so that a step hears all steps before it.  This
runs step by step, and its backward pass with it: the gradient is either cut at the traces, and then the
lateral weights' is one product over all steps, or runs back through them (backpropagation through time).
The reset carries none in either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from bisnn_pyro.models.kernels import FilterState, ResetState, TimeConstants

if TYPE_CHECKING:
    from bisnn_pyro.models.surrogate import Surrogate


class _RecurrentScan(torch.autograd.Function):
    """On flat tensors: currents ``[S, T, B, O]``, weights ``[S, O, O]``, states ``[S, B, O]``."""

    @staticmethod
    def forward(
        ctx: Any,
        current: Tensor,
        weight: Tensor,
        noise: Tensor | None,
        state: tuple[Tensor, ...],
        constants: TimeConstants,
        reset: float,
        surrogate: Surrogate,
        through_time: bool,
    ) -> tuple[Tensor, ...]:
        (a, b, c), unit = constants.decays, 1 / constants.dc_gain
        r, s, p, q = state
        spikes, potential, trace = (torch.empty_like(current) for _ in range(3))
        for t in range(current.shape[1]):
            p = a * p + q
            r = c * r + s
            torch.mul(p, unit, out=trace[:, t])
            u = torch.baddbmm(current[:, t], trace[:, t], weight.mT).sub_(r, alpha=reset)
            s = ((u if noise is None else u + noise[:, t]) >= 0).to(current.dtype)
            q = b * q + s
            potential[:, t], spikes[:, t] = u, s
        ctx.save_for_backward(surrogate.remember(potential).reshape(current.shape), trace, weight)
        ctx.surrogate, ctx.through_time, ctx.constants = surrogate, through_time, constants
        ctx.mark_non_differentiable(potential, r, s, p, q)
        ctx.set_materialize_grads(False)
        return spikes, potential, r, s, p, q

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor | None, *_: Tensor | None) -> tuple[Tensor | None, ...]:
        if grad is None:
            return (None,) * 8
        remembered, trace, weight = ctx.saved_tensors
        if ctx.through_time:
            slope = ctx.surrogate.backward(torch.ones_like(grad), remembered)
            drive = _through_time(grad, slope, weight, ctx.constants)
        else:
            drive = ctx.surrogate.backward(grad, remembered)
        lateral = torch.matmul(drive.flatten(1, 2).mT, trace.flatten(1, 2))
        return drive, lateral, None, None, None, None, None, None


def _through_time(grad: Tensor, slope: Tensor, weight: Tensor, constants: TimeConstants) -> Tensor:
    """Return the gradient in the potentials, given that in the spikes and the surrogate's slopes."""
    (a, b, _), unit = constants.decays, 1 / constants.dc_gain
    drive = torch.empty_like(grad)
    p = q = torch.zeros_like(grad[:, 0])
    for t in reversed(range(grad.shape[1])):
        torch.mul(grad[:, t] + q, slope[:, t], out=drive[:, t])
        p = torch.baddbmm(a * p, drive[:, t], weight, alpha=unit)
        q = b * q + p
    return drive


def recurrent_scan(
    current: Tensor,
    weight: Tensor,
    constants: TimeConstants,
    surrogate: Surrogate,
    *,
    reset: float = 1.0,
    noise: Tensor | None = None,
    state: ResetState | None = None,
    heard: FilterState | None = None,
    through_time: bool = False,
) -> tuple[Tensor, Tensor, ResetState, FilterState]:
    """Turn input currents into spikes of units with lateral synapses.

    Args:
        current: from outside the layer, ``[*S, T, B, O]``.
        weight: lateral weights ``[*S, O, O]``, from the column's unit to the row's; already scaled.
        constants: all three time constants.
        surrogate: gives ``ds/du`` in the backward pass, at the noise-free potential.
        reset: weight of the refractory trace.
        noise: added to the potential before the threshold, shape of ``current``.
        state: R and s of the step before the first; ``None`` means at rest.
        heard: P and Q of the layer's own spikes at the step before the first; ``None`` means at rest.
        through_time: let the gradient run back through the traces of the spikes.

    Returns:
        Spikes and noise-free potentials ``[*S, T, B, O]``, and both states after the last step.  Only the
        spikes carry a gradient, to ``current`` and ``weight``; none crosses the initial state.
    """
    draws, (n_steps, *shape) = current.shape[:-3], current.shape[-3:]
    flat = (-1, *shape)
    zero = current.new_zeros((*draws, *shape))
    state, heard = state or ResetState(zero, zero), heard or FilterState(zero, zero)
    spikes, potential, *end = _RecurrentScan.apply(
        current.reshape(-1, n_steps, *shape),
        weight.expand(*draws, *weight.shape[-2:]).reshape(-1, *weight.shape[-2:]),
        None if noise is None else noise.reshape(-1, n_steps, *shape),
        tuple(x.reshape(flat) for x in (*state, *heard)),
        constants,
        reset,
        surrogate,
        through_time,
    )
    r, s, p, q = (x.reshape(*draws, *shape) for x in end)
    outputs = (x.reshape(current.shape) for x in (spikes, potential))
    return *outputs, ResetState(r, s), FilterState(p, q)  # type: ignore[return-value]
