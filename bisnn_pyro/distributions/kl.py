"""The exact discrete KL between binary synapses, registered for the pairs that a guide can form."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.distributions import register_kl

from bisnn_pyro.distributions.hyperbolic import sign_kl, tanh_difference, times_sech2
from bisnn_pyro.distributions.relaxed import RelaxedSignBernoulli
from bisnn_pyro.distributions.sign_bernoulli import SignBernoulli


class SignKL(torch.autograd.Function):
    r"""KL(q || p) between sign-Bernoullis, elementwise, with its exact gradient.

    :math:`\partial_\lambda \mathrm{KL}=(\lambda-\lambda_0)\operatorname{sech}^2\lambda` and
    :math:`\partial_{\lambda_0}\mathrm{KL}=\tanh\lambda_0-\tanh\lambda`.
    """

    @staticmethod
    def forward(ctx: Any, natural: Tensor, prior: Tensor) -> Tensor:
        """Return the KL in nats; the two shapes broadcast."""
        ctx.save_for_backward(natural, prior)
        return sign_kl(natural, prior)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Return the gradients in the posterior's and the prior's natural parameters."""
        natural, prior = ctx.saved_tensors
        grad_natural = grad_prior = None
        if ctx.needs_input_grad[0]:
            gap = natural - prior
            grad_natural = (times_sech2(gap, natural.expand_as(gap)) * grad).sum_to_size(natural.shape)
        if ctx.needs_input_grad[1]:
            grad_prior = (grad * tanh_difference(prior, natural)).sum_to_size(prior.shape)
        return grad_natural, grad_prior


def _compact(x: Tensor) -> Tensor:
    """Undo expansions: a plate or an event repeats the same numbers, whose KL is wanted once."""
    for dim, (size, stride) in enumerate(zip(x.shape, x.stride(), strict=True)):
        if stride == 0 and size > 1:
            x = x.narrow(dim, 0, 1)
    return x


@register_kl(RelaxedSignBernoulli, SignBernoulli)
@register_kl(SignBernoulli, SignBernoulli)
def _kl_sign(q: RelaxedSignBernoulli | SignBernoulli, p: SignBernoulli) -> Tensor:
    shape = torch.broadcast_shapes(q.natural.shape, p.natural.shape)
    return SignKL.apply(_compact(q.natural), _compact(p.natural)).expand(shape)
