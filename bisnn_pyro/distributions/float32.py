"""Elementwise functions of float32 natural parameters on the CPU, each one pass over memory.

The loops hold nothing but arithmetic and selects, so that the compiler vectorises them; exponentials and
logarithms are the polynomials of Cephes (S. Moshier), right to one or two units in the last place.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numba import types
from numba.extending import intrinsic
from torch import Tensor

from bisnn_pyro.compute.jit import compiled

F = np.float32
_LOG2_E = F(1 / math.log(2))
_LN2_HIGH, _LN2_LOW = F(0.693359375), F(-2.12194440e-4)
_LN2 = F(math.log(2))
_LOWEST_EXPONENT = F(-87.0)  # below, exp() has left the normal numbers: 0


def _bitcast(result: Any, argument: Any) -> Any:
    @intrinsic
    def cast(typing_context: Any, x: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.bitcast(arguments[0], context.get_value_type(result))

        return result(argument), generate

    return cast


_as_float = _bitcast(types.float32, types.int32)
_as_int = _bitcast(types.int32, types.float32)


@compiled(inline=True)
def _exp(x):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """exp(x) for x <= 0."""
    n = np.floor(x * _LOG2_E + F(0.5))
    r = x - n * _LN2_HIGH - n * _LN2_LOW
    y = F(1.9875691500e-4)
    y = y * r + F(1.3981999507e-3)
    y = y * r + F(8.3334519073e-3)
    y = y * r + F(4.1665795894e-2)
    y = y * r + F(1.6666665459e-1)
    y = y * r + F(5.0000001201e-1)
    y = y * (r * r) + r + F(1)
    power = _as_float((max(np.int32(n), np.int32(-126)) + np.int32(127)) << np.int32(23))
    return F(0) if x < _LOWEST_EXPONENT else y * power  # NaN stays NaN


@compiled(inline=True)
def _log(x):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """log(x) for normal x > 0."""
    bits = _as_int(x)
    exponent = (bits >> np.int32(23)) - np.int32(126)
    m = _as_float((bits & np.int32(0x007FFFFF)) | np.int32(0x3F000000))  # in [1/2, 1)
    low = m < F(0.707106781186547524)
    e = F(exponent) - (F(1) if low else F(0))
    r = m + (m if low else F(0)) - F(1)
    z = r * r
    y = F(7.0376836292e-2)
    y = y * r + F(-1.1514610310e-1)
    y = y * r + F(1.1676998740e-1)
    y = y * r + F(-1.2420140846e-1)
    y = y * r + F(1.4249322787e-1)
    y = y * r + F(-1.6668057665e-1)
    y = y * r + F(2.0000714765e-1)
    y = y * r + F(-2.4999993993e-1)
    y = y * r + F(3.3333331174e-1)
    y = y * r * z + e * _LN2_LOW - F(0.5) * z
    return r + y + e * _LN2_HIGH


@compiled(inline=True)
def _log1p(t):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """log(1 + t) = 2 atanh(t / (2 + t)) for t in [0, 1]."""
    z = t / (F(2) + t)
    z2 = z * z
    y = F(1 / 15)
    y = y * z2 + F(1 / 13)
    y = y * z2 + F(1 / 11)
    y = y * z2 + F(1 / 9)
    y = y * z2 + F(1 / 7)
    y = y * z2 + F(1 / 5)
    y = y * z2 + F(1 / 3)
    return F(2) * (z * z2 * y + z)


@compiled
def _tanh_loop(x, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for m in range(x.size):
        v = x[m]
        z = v * v
        y = F(-5.70498872745e-3)
        y = y * z + F(2.06390887954e-2)
        y = y * z + F(-5.37397155531e-2)
        y = y * z + F(1.33314422036e-1)
        y = y * z + F(-3.33332819422e-1)
        y = y * z * v + v
        q = _exp(F(-2) * abs(v))
        far = (F(1) - q) / (F(1) + q)
        out[m] = y if z < F(0.390625) else (far if v > F(0) else -far)


@compiled
def _times_sech2_loop(y, x, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for m in range(x.size):
        q = _exp(F(-2) * abs(x[m]))
        d = F(1) + q
        out[m] = y[m] * (F(4) * q / (d * d))


@compiled
def _sech2_loop(x, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for m in range(x.size):
        q = _exp(F(-2) * abs(x[m]))
        d = F(1) + q
        out[m] = F(4) * q / (d * d)


@compiled
def _hard_draw_loop(x, bits, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    n = x.size
    for m in range(n):
        v = x[m]
        likelier = F(1) if v >= F(0) else F(-1)
        # P(flip) = sigmoid(-2|x|) in units of 2^-32, against bits that are uniform on the int32 numbers.
        q = _exp(F(-2) * abs(v))
        flips = q / (F(1) + q) * F(4294967296.0) - F(2147483648.0)
        for s in range(bits.size // n):
            out[s * n + m] = -likelier if F(bits[s * n + m]) < flips else likelier


@compiled
def _hard_gradient_loop(x, w, grad, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    n = x.size
    for m in range(n):
        q = _exp(F(-2) * abs(x[m]))
        near, far = (
            F(2) * q / (F(1) + q),
            F(2) / (F(1) + q),
        )  # 1 - w tanh(x), for the likelier w and the other
        plus, minus = (near, far) if x[m] >= F(0) else (far, near)
        total = F(0)
        for s in range(w.size // n):
            total += grad[s * n + m] * (plus if w[s * n + m] > F(0) else minus)
        out[m] = total


@compiled
def _half_logit_loop(u, eps, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for m in range(u.size):
        v = min(max(u[m], eps), F(1) - eps)
        out[m] = F(0.5) * _log(v / (F(1) - v))


@compiled
def _fair_kl_loop(x, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for m in range(x.size):
        a = abs(x[m])
        z = a * a
        y = F(-221930581 / 976924698750)  # the Taylor series of x tanh(x) - log(cosh(x)) in x^2
        y = y * z + F(3202291 / 5746615875)
        y = y * z + F(-929569 / 681080400)
        y = y * z + F(10922 / 3274425)
        y = y * z + F(-691 / 85050)
        y = y * z + F(31 / 1575)
        y = y * z + F(-17 / 360)
        y = y * z + F(1 / 9)
        y = y * z + F(-1 / 4)
        y = (y * z + F(1 / 2)) * z
        t = _exp(F(-2) * a)
        far = _LN2 - _log1p(t) - F(2) * a * t / (F(1) + t)
        out[m] = y if a < F(0.6) else far


def _run(loop: Any, *arguments: Any, out: Tensor | None = None) -> Tensor:
    """Run a loop over tensors of one shape, and numbers after them; write to ``out`` if given."""
    if out is None:
        shape = arguments[0].shape
        out = torch.empty(shape, dtype=torch.float32, device="cpu")  # whatever the defaults are
    flat = [x.detach().contiguous().view(-1).numpy() if isinstance(x, Tensor) else F(x) for x in arguments]
    loop(*flat, out.view(-1).numpy())
    return out


def tanh(x: Tensor, out: Tensor | None = None) -> Tensor:
    """Return ``tanh(x)``, in the contiguous tensor ``out`` if given."""
    return _run(_tanh_loop, x, out=out)


def sech2(x: Tensor) -> Tensor:
    """Return ``sech^2(x)``."""
    return _run(_sech2_loop, x)


def times_sech2(y: Tensor, x: Tensor) -> Tensor:
    """Return ``y sech^2(x)``, both of one shape."""
    return _run(_times_sech2_loop, y, x)


def hard_draw(x: Tensor, bits: Tensor) -> Tensor:
    """Return draws in {-1, +1} ``[S, ...]`` at natural parameters ``x`` ``[...]``.

    Args:
        x: natural parameters.
        bits: uniform int32 numbers ``[S, ...]``; a flip has the resolution of float32, 2^-24 of one half.
    """
    out = torch.empty(bits.shape, dtype=torch.float32, device="cpu")
    return _run(_hard_draw_loop, x, bits, out=out)


def hard_gradient(x: Tensor, w: Tensor, grad: Tensor) -> Tensor:
    """Return the sum over draws of ``(1 - w tanh(x)) grad``, of w and grad ``[S, ...]`` and x ``[...]``."""
    return _run(_hard_gradient_loop, x, w, grad)


def half_logit(u: Tensor, eps: float) -> Tensor:
    """Return ``log(u / (1 - u)) / 2``, u kept within ``[eps, 1 - eps]``."""
    return _run(_half_logit_loop, u, eps)


def fair_kl(x: Tensor) -> Tensor:
    """Return the KL from a fair prior at natural parameters ``x``."""
    return _run(_fair_kl_loop, x)
