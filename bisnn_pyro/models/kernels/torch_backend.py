"""Reference backend of the time kernels: plain torch, one step after the other, any device.

Every function takes flat tensors ``[S, T, M]`` (draws, time, batch x units) and states ``[S, M]``.  The
order of the operations is part of the contract: other backends must give the same bits.
"""

from __future__ import annotations

import torch
from torch import Tensor


def filter_sequence(
    x: Tensor, a: float, b: float, scale: float, p: Tensor, q: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Run ``P_t = a P_{t-1} + Q_{t-1}``, ``Q_t = b Q_{t-1} + x_t``.

    Returns:
        ``scale P`` over time, and the end state (P, Q), which is not scaled.
    """
    out = torch.empty_like(x)
    for t in range(x.shape[1]):
        p = a * p + q
        q = b * q + x[:, t]
        out[:, t] = scale * p
    return out, p, q


def filter_adjoint(grad: Tensor, a: float, b: float, scale: float) -> Tensor:
    """Run the filter from rest backwards in time: the adjoint of :func:`filter_sequence`."""
    rest = torch.zeros_like(grad[:, 0])
    return filter_sequence(grad.flip(1), a, b, scale, rest, rest)[0].flip(1)


def scan_sequence(
    current: Tensor, c: float, reset: float, r: Tensor, s: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Run ``R_t = c R_{t-1} + s_{t-1}``, ``u_t = I_t - reset R_t``, ``s_t = [u_t >= 0]``.

    Returns:
        Spikes and potentials over time, and the end state (R, s).
    """
    spikes, potential = torch.empty_like(current), torch.empty_like(current)
    for t in range(current.shape[1]):
        r = c * r + s
        u = current[:, t] - reset * r
        s = (u >= 0).to(current.dtype)
        potential[:, t] = u
        spikes[:, t] = s
    return spikes, potential, r, s


def trace_sequence(s: Tensor, c: float, r: Tensor, last: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Run ``R_t = c R_{t-1} + s_{t-1}`` for given spikes; return R over time and the end state (R, s)."""
    out = torch.empty_like(s)
    for t in range(s.shape[1]):
        r = c * r + last
        out[:, t] = r
        last = s[:, t]
    return out, r, last


def scan_gated(
    current: Tensor, c: float, reset: float, width: float, r: Tensor, s: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Run :func:`scan_sequence`, and keep of a potential only whether ``-width < u <= width``, a byte."""
    spikes, potential, r, s = scan_sequence(current, c, reset, r, s)
    return spikes, inside(potential, width), r, s


def inside(u: Tensor, width: float) -> Tensor:
    """Return as bytes whether ``-width < u <= width``."""
    return (u > -width).logical_and_(u <= width).view(torch.uint8)


def gate(grad: Tensor, inside: Tensor, slope: float) -> Tensor:
    """Return ``grad * slope`` where ``inside``, 0 elsewhere."""
    return (grad * slope).masked_fill_(inside == 0, 0)
