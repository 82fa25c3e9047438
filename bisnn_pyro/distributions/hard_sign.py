"""Hard draws of a binary synapse with a straight-through gradient, of first and of second order."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from bisnn_pyro.compute import runs_compiled
from bisnn_pyro.distributions.hyperbolic import times_sech2
from bisnn_pyro.distributions.sign_bernoulli import SignBernoulli


def _float32() -> Any:
    from bisnn_pyro.distributions import float32  # compiles, hence at the first use

    return float32


class HardSign(torch.autograd.Function):
    r"""Draw the likelier sign, or with probability :math:`\sigma(-2|\lambda|)` the other.

    The gradient is of first or second order.
    """

    @staticmethod
    def forward(ctx: Any, natural: Tensor, shape: torch.Size, second: bool) -> Tensor:
        """Return draws of this shape ``[*S, ...]``, which ends with that of ``natural``."""
        w = hard_draws(natural, shape)
        ctx.save_for_backward(natural, w)
        ctx.second = second
        return w

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        """Return the gradient in the natural parameter, summed over draws."""
        natural, w = ctx.saved_tensors
        if not ctx.second:
            return times_sech2(grad.sum_to_size(natural.shape), natural), None, None
        if runs_compiled(natural) and runs_compiled(grad):
            return _float32().hard_gradient(natural, w, grad), None, None
        # 1 - w tanh(lambda) without cancellation, for both signs; summed over draws of either sign first.
        total, along = grad.sum_to_size(natural.shape), (grad * w).sum_to_size(natural.shape)
        plus, minus = torch.sigmoid(-2 * natural), torch.sigmoid(2 * natural)
        return plus * (total + along) + minus * (total - along), None, None


def hard_draws(natural: Tensor, shape: torch.Size) -> Tensor:
    """Draw signs of this shape ``[*S, ...]`` from torch's global generator; no gradient."""
    if runs_compiled(natural):
        # Four times as fast as uniform numbers in float32: two 32-bit numbers from one draw.
        n = math.prod(shape)
        pairs = torch.empty((n + 1) // 2, dtype=torch.int64).random_(-(2**63), None)
        return _float32().hard_draw(natural, pairs.view(torch.int32)[:n].view(shape))
    one = torch.ones((), dtype=natural.dtype, device=natural.device)
    uniform = torch.rand(shape, dtype=natural.dtype, device=natural.device)
    margin = torch.sigmoid(2 * natural.abs()) - uniform
    return torch.copysign(one, margin).mul_(torch.copysign(one, natural))


class SecondOrderSign(SignBernoulli):
    r"""Hard draws with the second-order straight-through gradient (ReinMax, Liu et al., arXiv 2304.08612).

    Reduced to weights of size one,
    :math:`\partial F/\partial\lambda = (1-w\tanh\lambda)\,\partial L/\partial w`; divided by the Fisher
    information, as the natural step does, :math:`\partial L/\partial w/(1+w\tanh\lambda)`.

    .. warning::
        Assumes that the loss is close to a quadratic in each weight between -1 and +1: for a quadratic
        the gradient is exact on average (Heun's rule), otherwise biased by the third derivative.  It is
        noisiest near a fair coin, where a start from scratch with small steps fails: one notices it as a
        training loss that stays near that of a constant prediction; larger steps or a warm start help.
        The natural step divides by :math:`1+w\tanh\lambda`, which vanishes for rare draws: bound it
        (``max_step``).

    Example:
        >>> natural = torch.tensor([0.5, 2.0], requires_grad=True)
        >>> w = SecondOrderSign(natural).rsample()
        >>> w.abs()
        tensor([1., 1.], grad_fn=<AbsBackward0>)
    """

    has_rsample = True
    second: ClassVar[bool] = True

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008 (torch's own signature)
        """Draw -1 or +1."""
        shape, own = self._extended_shape(sample_shape), self.unexpanded
        leading = shape[len(shape) - own.dim() :] == own.shape  # draws repeat it as a whole
        return HardSign.apply(own if leading else self.natural, shape, self.second)


class FirstOrderSign(SecondOrderSign):
    r"""Hard draws with the first-order straight-through gradient.

    It is :math:`(1-\tanh^2\lambda)\,\partial L/\partial w`: the derivative at the draw stands for the
    difference between both values (Bengio et al. 2013, arXiv 1308.3432, in the mean parameter).  Less noisy
    than :class:`SecondOrderSign`.

    .. warning::
        Exact for losses that are linear in the weight, biased by the curvature otherwise.  One notices the
        bias as a validation loss that stops falling while the training loss goes on.
    """

    second = False
