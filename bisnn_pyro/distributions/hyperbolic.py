r"""Elementary functions of a natural parameter, accurate in the tails.

A synapse ``w`` in {-1,+1} with natural parameter :math:`\lambda` has
:math:`P(w=+1)=\sigma(2\lambda)`, mean :math:`\tanh\lambda` and variance (which is also its Fisher
information) :math:`\operatorname{sech}^2\lambda`.  Written as ``1 - tanh(x)**2`` that last one rounds to
zero from ``x = 9`` on in float32, which is where posteriors go; the forms here keep full relative
accuracy until the type underflows (about 43 in float32, 370 in float64).

Float32 on the CPU takes compiled loops of one pass each (:mod:`bisnn_pyro.distributions.float32`, imported
at the first use); any other tensor, or the backend ``torch``, the formulas here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus

from bisnn_pyro.compute import runs_compiled

_Function = Callable[[Tensor], Tensor]

# Below this |x| = 2|lambda_0 - lambda| the direct form of the KL cancels and the series takes over.
_SERIES_BELOW = 0.5


def sech2(x: Tensor) -> Tensor:
    r"""Return :math:`\operatorname{sech}^2 x = 1 - \tanh^2 x`, elementwise, without cancellation."""
    if runs_compiled(x) and not x.requires_grad:
        from bisnn_pyro.distributions import float32

        return float32.sech2(x)
    q = torch.sigmoid(x.abs().mul_(-2))
    return ((1 - q) * q).mul_(4)  # in place only where autograd keeps nothing


def times_sech2(y: Tensor, x: Tensor) -> Tensor:
    r"""Return :math:`y\,\operatorname{sech}^2 x` for tensors of one shape, without a gradient."""
    if runs_compiled(x) and runs_compiled(y):
        from bisnn_pyro.distributions import float32

        return float32.times_sech2(y, x)
    return sech2(x.detach()).mul_(y)


def tanh(x: Tensor, out: Tensor | None = None) -> Tensor:
    """Return ``tanh(x)`` without a gradient, in ``out`` if given; ``sign_mean`` has a gradient."""
    if runs_compiled(x):
        from bisnn_pyro.distributions import float32

        return float32.tanh(x, out)
    return torch.tanh(x, out=out)


def half_logit(u: Tensor, eps: float) -> Tensor:
    """Return ``log(u / (1 - u)) / 2`` without a gradient, u kept within ``[eps, 1 - eps]``."""
    if runs_compiled(u):
        from bisnn_pyro.distributions import float32

        return float32.half_logit(u, eps)
    return torch.logit(u, eps=eps).mul_(0.5)


class _Elementwise(torch.autograd.Function):
    """A function with a slope that is accurate where autograd's formula would cancel or underflow."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, value: _Function, slope: _Function) -> Tensor:
        ctx.save_for_backward(x)
        ctx.slope = slope
        return value(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (x,) = ctx.saved_tensors
        return grad * ctx.slope(x), None, None


def sign_mean(x: Tensor) -> Tensor:
    """Return ``tanh(x)`` with the derivative ``sech^2(x)``, not rounded to zero where the value is one."""
    return _Elementwise.apply(x, torch.tanh, sech2)


def sign_variance(x: Tensor) -> Tensor:
    """Return ``sech^2(x)`` with the derivative ``-2 tanh(x) sech^2(x)``, which is also right at 0."""
    return _Elementwise.apply(x, sech2, lambda x: -2 * torch.tanh(x) * sech2(x))


def sign_probability(x: Tensor) -> Tensor:
    """Return P(w = +1), ``sigmoid(2 x)``, with the derivative ``sech^2(x) / 2``."""
    return _Elementwise.apply(x, lambda x: torch.sigmoid(2 * x), lambda x: sech2(x) / 2)


def sign_entropy(x: Tensor) -> Tensor:
    """Return the entropy in nats, accurate in the tails, with the derivative ``-x sech^2(x)``."""
    return _Elementwise.apply(x, _entropy, lambda x: -x * sech2(x))


def _entropy(x: Tensor) -> Tensor:
    twice = (2 * x.abs()).clamp_max(1e3)  # zero from there on, for an infinite parameter as well
    return softplus(-twice, threshold=_NO_CUT) + twice * torch.sigmoid(-twice)


def log_two_cosh(x: Tensor) -> Tensor:
    r"""Return the log-partition function :math:`\log(2\cosh x)`, elementwise, without overflow."""
    return x.abs() + torch.log1p(torch.exp(-2 * x.abs()))


def tanh_difference(x: Tensor, y: Tensor) -> Tensor:
    r"""Return :math:`\tanh x - \tanh y` with full relative accuracy where both saturate."""
    gap = x - y
    high, low = torch.maximum(x, y), torch.minimum(x, y)
    return -2 * gap.sign() * torch.sigmoid(2 * high) * torch.sigmoid(-2 * low) * torch.expm1(-2 * gap.abs())


def sign_kl(natural: Tensor, prior: Tensor) -> Tensor:
    r"""Return KL(q || p) between two sign-Bernoullis of natural parameters ``natural`` and ``prior``.

    With :math:`q=\sigma(-2\lambda)`, :math:`d=\lambda_0-\lambda` and the sign of :math:`\lambda` made
    positive by symmetry, :math:`\mathrm{KL} = \log(1+q(e^{-2d}-1)) + 2dq`.  Both terms cancel where ``d`` is
    small.  With a fair prior, the usual one, float32 parameters take a series of their own there; with
    another they are taken to float64, which has digits to spare; float64 itself sums Taylor remainders.
    The value carries no gradient formula of its own; see :class:`bisnn_pyro.distributions.SignKL`.
    """
    if natural.dtype != torch.float32 or not _moderate(natural) or not _moderate(prior):
        return _sign_kl_series(natural, prior)
    if prior.numel() == 1 and float(prior) == 0:
        kl = _fair_kl(natural)
        return kl.expand(torch.broadcast_shapes(kl.shape, prior.shape)) if prior.dim() > kl.dim() else kl
    return _sign_kl_double(*torch.broadcast_tensors(natural.double(), prior.double())).float()


def _moderate(x: Tensor) -> bool:
    """Whether exponentials of x stay far from the ends of float64."""
    return x.numel() > 0 and float(x.abs().max()) < 150


# KL from a fair prior, x tanh(x) - log(cosh(x)), as a series in x^2 (its Taylor coefficients).
_FAIR_SERIES = (
    1 / 2,
    -1 / 4,
    1 / 9,
    -17 / 360,
    31 / 1575,
    -691 / 85050,
    10922 / 3274425,
    -929569 / 681080400,
    3202291 / 5746615875,
    -221930581 / 976924698750,
)


def _fair_kl(natural: Tensor) -> Tensor:
    """KL from a fair prior in float32: the series below 0.6, two terms that no longer cancel above."""
    if runs_compiled(natural):
        from bisnn_pyro.distributions import float32

        return float32.fair_kl(natural)
    x2 = natural * natural
    series = torch.full_like(x2, _FAIR_SERIES[-1])
    for coefficient in _FAIR_SERIES[-2::-1]:
        series.mul_(x2).add_(coefficient)
    a = natural.abs()
    t = torch.exp(-2 * a)
    direct = math.log(2) - torch.log1p(t) - 2 * a * t / (1 + t)
    return torch.where(a < 0.6, series.mul_(x2), direct)


def _sign_kl_double(natural: Tensor, prior: Tensor) -> Tensor:
    a = natural.abs()
    d = torch.where(natural < 0, -prior, prior) - a
    q = torch.sigmoid(-2 * a)
    return torch.expm1(-2 * d).mul_(q).log1p_().add_(q.mul_(d).mul_(2))


def _sign_kl_series(natural: Tensor, prior: Tensor) -> Tensor:
    """Compute :func:`sign_kl` in the parameters' own type, over its whole range."""
    sign = torch.where(natural < 0, -1.0, 1.0).to(natural.dtype)
    a, prior = natural.abs(), prior * sign
    d, q = prior - a, torch.sigmoid(-2 * a)
    direct = softplus(-2 * prior, threshold=_NO_CUT) - softplus(-2 * a, threshold=_NO_CUT) + 2 * q * d
    small = (2 * d).abs() < _SERIES_BELOW
    if not bool(small.any()):
        return direct
    x = torch.where(small, -2 * d, torch.zeros_like(d))
    return torch.where(small, q * _exp_remainder(x) - _log_remainder(q * torch.expm1(x)), direct)


# Terms of the two series that reach the rounding of float64 below that.
_EXP_TERMS, _LOG_TERMS = 15, 19

# torch's softplus switches to the identity above its threshold; ours must stay exact to the last bit.
_NO_CUT = 60.0


def _exp_remainder(x: Tensor) -> Tensor:
    """Return ``exp(x) - 1 - x`` for ``|x| < _SERIES_BELOW`` by its Taylor series."""
    total = torch.ones_like(x)
    for k in range(_EXP_TERMS, 2, -1):
        total.mul_(x).mul_(1 / k).add_(1)
    return total.mul_(x).mul_(x).mul_(0.5)


def _log_remainder(y: Tensor) -> Tensor:
    """Return ``y - log(1 + y)`` for small ``y``, through ``log(1 + y) = 2 atanh(y / (2 + y))``."""
    z = y / (2 + y)
    z2 = z * z
    tail = torch.zeros_like(z)
    for k in range(_LOG_TERMS, 2, -2):
        tail.mul_(z2).add_(1.0 / k)
    return 2 * z2 * (1 / (1 - z) - z * tail)
