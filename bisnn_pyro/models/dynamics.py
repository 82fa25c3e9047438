r"""Traces, the reset and lateral synapses: the dynamics of a spike-response neuron over a whole sequence.

.. math:: P_t = a P_{t-1} + Q_{t-1}, \quad Q_t = b Q_{t-1} + s_t, \quad R_t = c R_{t-1} + s_{t-1}, \quad
    u_t = I_t - \rho R_t, \quad s_t = 1[u_t \ge 0]

(BiSNN, arXiv 2012.08300).  The synaptic trace is divided by its response to a constant input, so it
stays in [0, 1] whatever the time constants; the paper's own trace reaches 68 with its constants.

The reset is the only part of a layer without lateral synapses that must run step by step.  Given the spikes,
the gradient of the whole sequence is elementwise: the path through the reset is detached, as in the paper's
local rule (and as DECOLLE and much of the surrogate-gradient practice do).

With lateral synapses units receive what their own layer fired before, :math:`u_t = I_t + V P_t - \rho R_t`
with the synaptic trace ``P`` of the layer's own spikes, so that a step depends on all steps before it.  Both
passes then run step by step: the gradient is either cut at the traces, and the lateral weights' is one
product over all steps, or it runs back through them (backpropagation through time).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from bisnn_pyro.distributions import Perturbed, random_signs
from bisnn_pyro.errors import ModelError
from bisnn_pyro.models.kernels import kernels_for

MAX_STEPS = 1e6
"""Time constant beyond which a trace does not decay in single precision."""

if TYPE_CHECKING:
    from bisnn_pyro.models.surrogate import Surrogate


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
            if not 0 < value <= MAX_STEPS:
                raise ModelError(
                    f"time constant tau_{name} must be a positive number of steps, at most {MAX_STEPS:g}, "
                    f"not {value}"
                )

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
    """The filter is linear and time-invariant: its adjoint is the filter run backwards in time."""

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


class _RecurrentScan(torch.autograd.Function):
    """On flat tensors: currents ``[S, T, B, O]``, weights ``[S, O, O]``, states ``[S, B, O]``.

    ``own`` holds weights ``[S, O, O]`` that differ by signs ``into`` and ``out`` ``[B, O]`` from example to
    example.
    """

    @staticmethod
    def forward(
        ctx: Any,
        current: Tensor,
        weight: Tensor,
        own: Tensor | None,
        signs: tuple[Tensor, Tensor] | None,
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
            if own is not None and signs is not None:
                u += signs[1] * torch.matmul(trace[:, t] * signs[0], own.mT)
            s = ((u if noise is None else u + noise[:, t]) >= 0).to(current.dtype)
            q = b * q + s
            potential[:, t], spikes[:, t] = u, s
        ctx.save_for_backward(surrogate.remember(potential).reshape(current.shape), trace, weight, own)
        ctx.signs = signs
        ctx.surrogate, ctx.through_time, ctx.constants = surrogate, through_time, constants
        ctx.mark_non_differentiable(potential, r, s, p, q)
        ctx.set_materialize_grads(False)
        return spikes, potential, r, s, p, q

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor | None, *_: Tensor | None) -> tuple[Tensor | None, ...]:
        if grad is None:
            return (None,) * 10
        remembered, trace, weight, own = ctx.saved_tensors
        if ctx.through_time:
            slope = ctx.surrogate.backward(torch.ones_like(grad), remembered)
            drive = _through_time(grad, slope, weight, own, ctx.signs, ctx.constants)
        else:
            drive = ctx.surrogate.backward(grad, remembered)
        lateral = torch.matmul(drive.flatten(1, 2).mT, trace.flatten(1, 2))
        of_own = None
        if own is not None:
            into, out = ctx.signs
            of_own = torch.matmul((drive * out).flatten(1, 2).mT, (trace * into).flatten(1, 2))
        return drive, lateral, of_own, None, None, None, None, None, None, None


def _through_time(
    grad: Tensor,
    slope: Tensor,
    weight: Tensor,
    own: Tensor | None,
    signs: tuple[Tensor, Tensor] | None,
    constants: TimeConstants,
) -> Tensor:
    """Return the gradient in the potentials, given that in the spikes and the surrogate's slopes."""
    (a, b, _), unit = constants.decays, 1 / constants.dc_gain
    drive = torch.empty_like(grad)
    p = q = torch.zeros_like(grad[:, 0])
    for t in reversed(range(grad.shape[1])):
        torch.mul(grad[:, t] + q, slope[:, t], out=drive[:, t])
        p = torch.baddbmm(a * p, drive[:, t], weight, alpha=unit)
        if own is not None and signs is not None:
            p += unit * signs[0] * torch.matmul(drive[:, t] * signs[1], own)
        q = b * q + p
    return drive


def recurrent_scan(
    current: Tensor,
    weight: Tensor | Perturbed,
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
        current: feed-forward currents ``[*S, T, B, O]``.
        weight: lateral weights ``[*S, O, O]``, from the column's unit to the row's; already scaled.  The
            noise of perturbed weights is each example's own, constant over time.
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
    own = signs = None
    if isinstance(weight, Perturbed):
        own, weight = weight.noise, weight.mean
        signs = random_signs(zero, *shape), random_signs(zero, *shape)

    def per_draw(w: Tensor) -> Tensor:
        return w.expand(*draws, *w.shape[-2:]).reshape(-1, *w.shape[-2:])

    spikes, potential, *end = _RecurrentScan.apply(
        current.reshape(-1, n_steps, *shape),
        per_draw(weight),
        None if own is None else per_draw(own),
        signs,
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
