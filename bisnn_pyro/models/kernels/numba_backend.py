"""CPU backend of the time kernels: the loops of the reference, compiled by numba.

No fast-math and no fused multiply-add, so the bits are those of the reference backend.  The units are
taken in blocks whose state stays in the first-level cache while time runs.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bisnn_pyro.compute.jit import compiled
from bisnn_pyro.models.kernels import torch_backend

_BLOCK = 2048

inside = torch_backend.inside


@compiled
def _filter(x, a, b, scale, p, q, out, backwards):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    n_draws, n_steps, n_units = x.shape
    for draw in range(n_draws):
        for start in range(0, n_units, _BLOCK):
            stop = min(start + _BLOCK, n_units)
            ps, qs = p[draw, start:stop], q[draw, start:stop]
            for k in range(n_steps):
                t = n_steps - 1 - k if backwards else k
                xs, os = x[draw, t, start:stop], out[draw, t, start:stop]
                for m in range(stop - start):
                    value = a * ps[m] + qs[m]
                    qs[m] = b * qs[m] + xs[m]
                    ps[m] = value
                    os[m] = scale * value


@compiled
def _scan(current, c, reset, r, s, spikes, potential):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    n_draws, n_steps, n_units = current.shape
    one, zero = current.dtype.type(1), current.dtype.type(0)
    for draw in range(n_draws):
        for start in range(0, n_units, _BLOCK):
            stop = min(start + _BLOCK, n_units)
            rs, ss = r[draw, start:stop], s[draw, start:stop]
            for t in range(n_steps):
                cs, us = current[draw, t, start:stop], potential[draw, t, start:stop]
                out = spikes[draw, t, start:stop]
                for m in range(stop - start):
                    trace = c * rs[m] + ss[m]
                    u = cs[m] - reset * trace
                    spike = one if u >= zero else zero
                    rs[m] = trace
                    ss[m] = spike
                    us[m] = u
                    out[m] = spike


@compiled
def _trace(s, c, r, last, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    n_draws, n_steps, n_units = s.shape
    for draw in range(n_draws):
        for t in range(n_steps):
            for m in range(n_units):
                r[draw, m] = c * r[draw, m] + last[draw, m]
                out[draw, t, m] = r[draw, m]
                last[draw, m] = s[draw, t, m]


@compiled
def _scan_gated(current, c, reset, width, r, s, spikes, inside):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    n_draws, n_steps, n_units = current.shape
    one, zero = current.dtype.type(1), current.dtype.type(0)
    for draw in range(n_draws):
        for start in range(0, n_units, _BLOCK):
            stop = min(start + _BLOCK, n_units)
            rs, ss = r[draw, start:stop], s[draw, start:stop]
            for t in range(n_steps):
                cs, near = current[draw, t, start:stop], inside[draw, t, start:stop]
                out = spikes[draw, t, start:stop]
                for m in range(stop - start):
                    trace = c * rs[m] + ss[m]
                    u = cs[m] - reset * trace
                    spike = one if u >= zero else zero
                    rs[m] = trace
                    ss[m] = spike
                    near[m] = (u > -width) & (u <= width)
                    out[m] = spike


@compiled
def _gate(grad, inside, slope, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    zero = grad.dtype.type(0)
    for m in range(grad.size):
        out[m] = grad[m] * slope if inside[m] else zero


def _array(x: Tensor) -> np.ndarray:
    return x.detach().contiguous().numpy()


def _scalar(value: float, like: Tensor) -> np.floating:
    return _array(like).dtype.type(value)


def filter_sequence(
    x: Tensor, a: float, b: float, scale: float, p: Tensor, q: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the same as :func:`bisnn_pyro.models.kernels.torch_backend.filter_sequence`."""
    p, q = p.clone(memory_format=torch.contiguous_format), q.clone(memory_format=torch.contiguous_format)
    out = torch.empty(x.shape, dtype=x.dtype, device="cpu")
    a_, b_, scale_ = (_scalar(value, x) for value in (a, b, scale))
    _filter(_array(x), a_, b_, scale_, p.numpy(), q.numpy(), out.numpy(), False)
    return out, p, q


def filter_adjoint(grad: Tensor, a: float, b: float, scale: float) -> Tensor:
    """Compute the same as :func:`bisnn_pyro.models.kernels.torch_backend.filter_adjoint`."""
    out = torch.empty(grad.shape, dtype=grad.dtype, device="cpu")
    p, q = (torch.zeros((grad.shape[0], grad.shape[2]), dtype=grad.dtype, device="cpu") for _ in range(2))
    a_, b_, scale_ = (_scalar(value, grad) for value in (a, b, scale))
    _filter(_array(grad), a_, b_, scale_, p.numpy(), q.numpy(), out.numpy(), True)
    return out


def scan_sequence(
    current: Tensor, c: float, reset: float, r: Tensor, s: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Compute the same as :func:`bisnn_pyro.models.kernels.torch_backend.scan_sequence`."""
    r, s = r.clone(memory_format=torch.contiguous_format), s.clone(memory_format=torch.contiguous_format)
    spikes = torch.empty(current.shape, dtype=current.dtype, device="cpu")
    potential = torch.empty_like(spikes)
    x = _array(current)
    one = _scalar
    _scan(x, one(c, current), one(reset, current), r.numpy(), s.numpy(), spikes.numpy(), potential.numpy())
    return spikes, potential, r, s


def trace_sequence(s: Tensor, c: float, r: Tensor, last: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the same as :func:`bisnn_pyro.models.kernels.torch_backend.trace_sequence`."""
    r, last = (z.clone(memory_format=torch.contiguous_format) for z in (r, last))
    out = torch.empty(s.shape, dtype=s.dtype, device="cpu")
    _trace(_array(s), _scalar(c, s), r.numpy(), last.numpy(), out.numpy())
    return out, r, last


def scan_gated(
    current: Tensor, c: float, reset: float, width: float, r: Tensor, s: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Compute the same as :func:`bisnn_pyro.models.kernels.torch_backend.scan_gated`."""
    r, s = r.clone(memory_format=torch.contiguous_format), s.clone(memory_format=torch.contiguous_format)
    spikes = torch.empty(current.shape, dtype=current.dtype, device="cpu")
    inside = torch.empty(current.shape, dtype=torch.uint8, device="cpu")
    constants = (_scalar(value, current) for value in (c, reset, width))
    _scan_gated(_array(current), *constants, r.numpy(), s.numpy(), spikes.numpy(), inside.numpy())
    return spikes, inside, r, s


def gate(grad: Tensor, inside: Tensor, slope: float) -> Tensor:
    """Compute the same as :func:`bisnn_pyro.models.kernels.torch_backend.gate`."""
    out = torch.empty(grad.shape, dtype=grad.dtype, device="cpu")
    flat_grad, flat_inside = (_array(x).reshape(-1) for x in (grad, inside))
    _gate(flat_grad, flat_inside, _scalar(slope, grad), out.numpy().reshape(-1))
    return out
