r"""Elementary functions of the standard normal distribution, accurate in the tails.

:math:`\Phi` is its cumulative distribution and :math:`\varphi` its density.  In float32 :math:`\Phi(z)` is
zero from ``z = -14`` on, and with it every quotient and logarithm written out; a trained network of sign
units reaches ``|z|`` in the tens, single badly wrong examples the hundreds.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

_SQRT_HALF = math.sqrt(0.5)
_SQRT_2_OVER_PI = math.sqrt(2 / math.pi)


def density(z: Tensor) -> Tensor:
    r"""Return :math:`\varphi(z)`, elementwise; zero where the type underflows."""
    return z.square().mul_(-0.5).exp_().mul_(1 / math.sqrt(2 * math.pi))


def inverse_mills(z: Tensor) -> Tensor:
    r"""Return :math:`\varphi(z)/\Phi(z)`, elementwise: the derivative of :math:`\log\Phi`.

    It is ``-z`` far on the left and falls to zero on the right.  Through ``erfcx``, in which the two
    exponentials cancel exactly; the difference of ``log_ndtr`` and the log-density would lose three digits
    in float32 at ``z = -30`` and all digits at ``z = -1000``.
    """
    return _SQRT_2_OVER_PI / torch.special.erfcx(z * -_SQRT_HALF)


class LogOdds(torch.autograd.Function):
    """:func:`log_odds` with a derivative of its own: torch's of ``log_ndtr`` divides by what underflows."""

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        """Return the log-odds."""
        ctx.save_for_backward(z)
        return torch.special.log_ndtr(z) - torch.special.log_ndtr(-z)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        """Return ``grad`` times the sum of the two inverse Mills ratios."""
        (z,) = ctx.saved_tensors
        return grad * (inverse_mills(z) + inverse_mills(-z))


def log_odds(z: Tensor) -> Tensor:
    r"""Return :math:`\log\Phi(z)-\log\Phi(-z)`, elementwise: the logit of :math:`\Phi(z)`."""
    return LogOdds.apply(z)
