"""Hard draws of a binary synapse with a straight-through gradient, of first and of second order."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from bisnn_pyro.distributions.hyperbolic import sech2
from bisnn_pyro.distributions.sign_bernoulli import SignBernoulli


class HardSign(torch.autograd.Function):
    r"""Draw the likelier sign unless :math:`u>\sigma(2|\lambda|)`, with a gradient of first or second order.

    Rounded, that probability is one from :math:`|\lambda|=9` on in float32: a decided synapse never flips.
    """

    @staticmethod
    def forward(ctx: Any, natural: Tensor, uniform: Tensor, second: bool) -> Tensor:
        """Return the draw for uniform numbers ``uniform`` of the draws' shape ``[*S, ...]``."""
        one = torch.ones((), dtype=natural.dtype, device=natural.device)
        margin = torch.sigmoid(2 * natural.abs()) - uniform
        # Not torch.where, which takes three times as long.
        w = torch.copysign(one, margin).mul_(torch.copysign(one, natural))
        ctx.save_for_backward(natural, w)
        ctx.second = second
        return w

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        """Return the gradient in the natural parameter, summed over draws."""
        natural, w = ctx.saved_tensors
        if not ctx.second:
            return sech2(natural) * grad.sum_to_size(natural.shape), None, None
        # 1 - w tanh(lambda) without cancellation, for both signs; summed over draws of either sign first.
        total, along = grad.sum_to_size(natural.shape), (grad * w).sum_to_size(natural.shape)
        plus, minus = torch.sigmoid(-2 * natural), torch.sigmoid(2 * natural)
        return plus * (total + along) + minus * (total - along), None, None


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
    _own: Tensor | None = None

    def expand(self, batch_shape: Any, _instance: Any = None) -> SignBernoulli:
        """Return the same distribution, expanded; draws need the probabilities only once."""
        new = self._get_checked_instance(type(self), _instance)
        super().expand(batch_shape, new)
        new._own = self.natural if self._own is None else self._own
        return new

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008 (torch's own signature)
        """Draw -1 or +1."""
        natural = self.natural if self._own is None else self._own
        shape = self._extended_shape(sample_shape)
        uniform = torch.rand(shape, dtype=natural.dtype, device=natural.device)
        return HardSign.apply(natural, uniform, self.second)


class FirstOrderSign(SecondOrderSign):
    r"""Hard draws with the first-order straight-through gradient.

    It is :math:`(1-\tanh^2\lambda)\,\partial L/\partial w`.

    The derivative at the draw stands for the difference between both values (Bengio et al. 2013, arXiv
    1308.3432, in the mean parameter).  Less noisy than :class:`SecondOrderSign`.

    .. warning::
        Exact for losses that are linear in the weight, biased by the curvature otherwise.  One notices the
        bias as a validation loss that stops falling while the training loss goes on.
    """

    second = False
