"""The distribution of a binary synapse, its reparametrised relaxation, and the exact KL between them."""

from __future__ import annotations

from typing import Any

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.distributions import Independent, constraints, register_kl
from torch.distributions.utils import broadcast_all
from torch.nn.functional import logsigmoid

from bisnn_pyro.distributions.hyperbolic import (
    half_logit,
    sign_entropy,
    sign_kl,
    sign_mean,
    sign_probability,
    sign_variance,
    tanh,
    tanh_difference,
    times_sech2,
)


class _Sign(constraints.Constraint):
    """Discrete, so that continuous autoguides refuse the site; relaxed values in [-1, 1] pass."""

    is_discrete = True
    event_dim = 0

    def check(self, value: Tensor) -> Tensor:
        return value.abs() <= 1


sign_constraint = _Sign()


class SignBernoulli(TorchDistribution):
    r"""A Bernoulli on {-1, +1}: :math:`p(w) = e^{\lambda w} / (2\cosh\lambda)`.

    The natural parameter is :math:`\lambda = \tfrac12\log\frac{p}{1-p}` with :math:`p=P(w=+1)`; the
    Bernoulli's logits are :math:`2\lambda` (BiSNN, arXiv 2012.08300).

    ``log_prob`` extends the log-mass linearly to [-1, 1], so that a relaxed draw of a guide can be
    scored.  In between it is not a log-density: only the values at -1 and +1 are probabilities.

    Args:
        natural: natural parameter :math:`\lambda`, any shape.
        probs: :math:`P(w=+1)` in the open interval (0, 1); give this or ``natural``.
        validate_args: as in ``torch.distributions``.

    Raises:
        ValueError: if both or neither of ``natural`` and ``probs`` are given, or one is out of range.

    Example:
        >>> import torch
        >>> synapse = SignBernoulli(probs=torch.tensor([0.5, 0.9]))
        >>> synapse.natural
        tensor([0.0000, 1.0986])
        >>> synapse.mean
        tensor([0.0000, 0.8000])
        >>> synapse.log_prob(torch.tensor([1.0, 1.0])).exp()
        tensor([0.5000, 0.9000])
    """

    arg_constraints = {"natural": constraints.real}  # noqa: RUF012 (torch's own interface)
    support = sign_constraint
    has_enumerate_support = True

    def __init__(
        self,
        natural: Tensor | float | None = None,
        *,
        probs: Tensor | float | None = None,
        validate_args: bool | None = None,
    ) -> None:
        if (natural is None) == (probs is None):
            raise ValueError("SignBernoulli: give either `natural` (lambda) or `probs` (P(w=+1)), not both")
        if natural is None:
            (p,) = broadcast_all(probs)  # type: ignore[arg-type]
            if not bool(((p > 0) & (p < 1)).all()):
                raise ValueError("SignBernoulli: `probs` must lie strictly between 0 and 1")
            natural = 0.5 * torch.logit(p)
        (self.natural,) = broadcast_all(natural)
        self.unexpanded = self.natural
        super().__init__(self.natural.shape, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> SignBernoulli:
        """Return the same distribution with its batch shape expanded (and its type kept)."""
        new = self._get_checked_instance(type(self), _instance)
        new.natural, new.unexpanded = self.natural.expand(torch.Size(batch_shape)), self.unexpanded
        super(SignBernoulli, new).__init__(torch.Size(batch_shape), validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def logits(self) -> Tensor:
        r"""The Bernoulli's logits, :math:`2\lambda`."""
        return 2 * self.natural

    @property
    def probs(self) -> Tensor:
        """P(w = +1)."""
        return sign_probability(self.natural)

    @property
    def mean(self) -> Tensor:
        r""":math:`\tanh\lambda`."""
        return sign_mean(self.natural)

    @property
    def mode(self) -> Tensor:
        r"""The sign of :math:`\lambda`, with 0 counted as +1."""
        return torch.where(self.natural < 0, -1.0, 1.0).to(self.natural.dtype)

    @property
    def variance(self) -> Tensor:
        r""":math:`\operatorname{sech}^2\lambda`, accurate in the tails."""
        return sign_variance(self.natural)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-mass at -1 and +1, extended linearly in between."""
        if self._validate_args:
            self._validate_sample(value)
        # Both terms are <= 0 and one of them is 0 at either end: no cancellation, here or in the gradient.
        plus, minus = logsigmoid(2 * self.natural), logsigmoid(-2 * self.natural)
        return (1 + value) / 2 * plus + (1 - value) / 2 * minus

    def entropy(self) -> Tensor:
        """Return the entropy in nats, accurate in the tails."""
        return sign_entropy(self.natural)

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008 (torch's own signature)
        """Draw hard values in {-1, +1}."""
        with torch.no_grad():
            p = self.probs.expand(self._extended_shape(sample_shape))
            return 2 * torch.bernoulli(p) - 1

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """Return the two values, -1 and +1, along a new leading dimension."""
        values = torch.tensor([-1.0, 1.0], dtype=self.natural.dtype, device=self.natural.device)
        values = values.reshape((2,) + (1,) * len(self.batch_shape))
        return values.expand((2, *self.batch_shape)) if expand else values


class RelaxedSign(torch.autograd.Function):
    r"""Draw :math:`w=\tanh z,\ z=(\lambda+\delta)/\tau`, or its sign, with the soft derivative.

    Autograd through ``tanh`` forms ``1 - w**2`` from the rounded ``w`` and returns 0 (float32) from
    ``z = 9`` on, while the natural gradient divides by a number as small; here the derivative is
    :math:`\operatorname{sech}^2(z)/\tau`, accurate to rounding.
    """

    @staticmethod
    def forward(ctx: Any, natural: Tensor, noise: Tensor, temperature: Tensor, hard: bool) -> Tensor:
        """Return the draw for logistic noise ``noise`` (delta), all shapes broadcast."""
        z = (natural + noise).div_(temperature)
        ctx.save_for_backward(z, temperature)
        ctx.natural_shape = natural.shape
        if hard:
            return torch.where(z < 0, -1.0, 1.0).to(z.dtype)
        return tanh(z)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None, Tensor | None, None]:
        """Return the gradients in the natural parameter and in the temperature."""
        z, temperature = ctx.saved_tensors
        slope = times_sech2(grad, z).div_(temperature)
        grad_natural = slope.sum_to_size(ctx.natural_shape) if ctx.needs_input_grad[0] else None
        grad_temperature = (-slope * z).sum_to_size(temperature.shape) if ctx.needs_input_grad[2] else None
        return grad_natural, None, grad_temperature, None


def half_logistic_noise(shape: Any, like: Tensor) -> Tensor:
    r"""Draw :math:`\delta=\tfrac12\log\frac{u}{1-u}`, u uniform, finite by keeping u off 0 and 1."""
    u = torch.rand(shape, dtype=like.dtype, device=like.device)
    return half_logit(u, torch.finfo(like.dtype).eps / 4)


class RelaxedSignBernoulli(TorchDistribution):
    r"""The concrete (Gumbel-softmax) relaxation of :class:`SignBernoulli` to (-1, 1).

    :math:`w=\tanh((\lambda+\delta)/\tau)`, :math:`\delta=\tfrac12\log\frac{u}{1-u}`, :math:`u\sim U(0,1)`
    (as BiSNN draws, arXiv 2012.08300).  ``log_prob`` is the density of that draw.

    .. warning::
        With a :class:`SignBernoulli` prior the registered KL is the *discrete* one between the two
        Bernoullis, as in the paper, while the likelihood sees relaxed weights.  The loss is therefore
        not an ELBO of the relaxed model: it is the discrete free energy with its expected loss
        approximated, biased for every ``temperature > 0``.  One notices the bias as a gap between the
        training loss and the loss of hard draws, which is why validation uses hard draws.

    Args:
        temperature: relaxation temperature, a positive scalar tensor (or number).
        natural: natural parameter :math:`\lambda`, any shape.
        validate_args: as in ``torch.distributions``.
    """

    arg_constraints = {"natural": constraints.real, "temperature": constraints.positive}  # noqa: RUF012
    support = constraints.interval(-1.0, 1.0)
    has_rsample = True
    hard = False

    def __init__(
        self, temperature: Tensor | float, natural: Tensor | float, *, validate_args: bool | None = None
    ) -> None:
        (self.natural,) = broadcast_all(natural)
        self.unexpanded = self.natural
        # A Python float would crash torch's argument validation.
        self.temperature = torch.as_tensor(temperature, dtype=self.natural.dtype, device=self.natural.device)
        if self.temperature.dim():
            raise ValueError("RelaxedSignBernoulli: `temperature` must be a scalar")
        super().__init__(self.natural.shape, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> RelaxedSignBernoulli:
        """Return the same distribution with its batch shape expanded (and its type kept)."""
        new = self._get_checked_instance(type(self), _instance)
        new.natural, new.unexpanded = self.natural.expand(torch.Size(batch_shape)), self.unexpanded
        new.temperature = self.temperature
        super(RelaxedSignBernoulli, new).__init__(torch.Size(batch_shape), validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def mean(self) -> Tensor:
        r"""Mean of the *discrete* variable that is relaxed, :math:`\tanh\lambda`."""
        return sign_mean(self.natural)

    @property
    def variance(self) -> Tensor:
        r"""Variance of the *discrete* variable that is relaxed, :math:`\operatorname{sech}^2\lambda`."""
        return sign_variance(self.natural)

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008 (torch's own signature)
        """Draw relaxed values, reparametrised in the natural parameter and the temperature."""
        noise = half_logistic_noise(self._extended_shape(sample_shape), self.natural)
        return RelaxedSign.apply(self.natural, noise, self.temperature, self.hard)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-density of a relaxed draw."""
        if self._validate_args:
            self._validate_sample(value)
        eps = torch.finfo(value.dtype).eps
        soft = value.clamp(eps - 1, 1 - eps)
        delta = self.temperature * torch.atanh(soft) - self.natural
        jacobian = torch.log1p(-soft * soft)
        return torch.log(2 * self.temperature) + logsigmoid(2 * delta) + logsigmoid(-2 * delta) - jacobian


class HardRelaxedSignBernoulli(RelaxedSignBernoulli):
    """The same draw rounded to {-1, +1} in the forward pass, with the soft derivative backward.

    The forward pass then uses exact draws of the discrete posterior, with a gradient that belongs to
    another function; ``log_prob`` is still the relaxed density and has no meaning at +-1 (no estimator in
    this package uses it).
    """

    hard = True


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


@register_kl(RelaxedSignBernoulli, SignBernoulli)
@register_kl(SignBernoulli, SignBernoulli)
def _kl_sign(q: RelaxedSignBernoulli | SignBernoulli, p: SignBernoulli) -> Tensor:
    shape = torch.broadcast_shapes(q.natural.shape, p.natural.shape)
    return SignKL.apply(q.unexpanded, p.unexpanded).expand(shape)


def repeated_kl(q: Independent, p: Independent) -> Tensor | None:
    """Return the KL of whole networks of signs that a plate repeats: computed once, not per draw.

    Args:
        q: posterior, all dimensions as the event but those of plates.
        p: prior of the same event.

    Returns:
        The KL in q's batch shape, as ``kl_divergence`` has it; ``None`` for other distributions.
    """
    one, other = getattr(q, "base_dist", None), getattr(p, "base_dist", None)
    if not isinstance(one, RelaxedSignBernoulli | SignBernoulli) or not isinstance(other, SignBernoulli):
        return None
    if q.event_shape != one.unexpanded.shape or p.event_shape != q.event_shape:
        return None
    return SignKL.apply(one.unexpanded, other.unexpanded).expand(q.event_shape).sum().expand(q.batch_shape)
