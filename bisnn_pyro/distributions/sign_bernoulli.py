"""The distribution of a binary synapse."""

from __future__ import annotations

from typing import Any

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import constraints
from torch.distributions.utils import broadcast_all
from torch.nn.functional import logsigmoid

from bisnn_pyro.distributions.hyperbolic import Sech2, SignEntropy, SignProbability, Tanh


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
    scored.  Between the two ends that is not a log-density of anything: only the values at -1 and +1
    are probabilities.

    Args:
        natural: natural parameter :math:`\lambda`, any shape.
        probs: :math:`P(w=+1)` in the open interval (0, 1); give this or ``natural``.
        validate_args: as in ``torch.distributions``.

    Raises:
        ValueError: if both or neither of ``natural`` and ``probs`` are given, or one is out of range.
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
        super().__init__(self.natural.shape, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> SignBernoulli:
        """Return the same distribution with its batch shape expanded (and its type kept)."""
        new = self._get_checked_instance(SignBernoulli, _instance)
        new.natural = self.natural.expand(torch.Size(batch_shape))
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
        return SignProbability.apply(self.natural)

    @property
    def mean(self) -> Tensor:
        r""":math:`\tanh\lambda`."""
        return Tanh.apply(self.natural)

    @property
    def mode(self) -> Tensor:
        r"""The sign of :math:`\lambda`, with 0 counted as +1."""
        return torch.where(self.natural < 0, -1.0, 1.0).to(self.natural.dtype)

    @property
    def variance(self) -> Tensor:
        r""":math:`\operatorname{sech}^2\lambda`, accurate in the tails."""
        return Sech2.apply(self.natural)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-mass at -1 and +1, extended linearly in between."""
        if self._validate_args:
            self._validate_sample(value)
        # Both terms are <= 0 and one of them is 0 at either end: no cancellation, here or in the gradient.
        plus, minus = logsigmoid(2 * self.natural), logsigmoid(-2 * self.natural)
        return (1 + value) / 2 * plus + (1 - value) / 2 * minus

    def entropy(self) -> Tensor:
        """Return the entropy in nats, accurate in the tails."""
        return SignEntropy.apply(self.natural)

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
