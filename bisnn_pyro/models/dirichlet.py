"""The noisy-Dirichlet likelihood: labels as Gaussian observations of the logits."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from pyro.distributions import TorchDistribution
from pyro.nn import PyroParam
from torch import Tensor
from torch.distributions import Categorical, constraints
from torch.nn.functional import one_hot

from bisnn_pyro.errors import ModelError
from bisnn_pyro.models.likelihoods import Classification, Window, check_classes


class NoisyDirichletLabels(TorchDistribution):
    r"""Labels that observe logits ``f``: ``log_prob(y)`` is :math:`\sum_c\log N(f_c; m_c(y), v_c(y))`.

    It is a density of the logits given a label, not a probability of the label: over ``f`` it integrates
    to one, over ``y`` it does not sum to one.  ``sample`` draws a label in proportion to it.

    Args:
        logits: ``[*S, B, C]``.
        noise: e > 0, the concentration of the classes that were not observed.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {"logits": constraints.real_vector}

    def __init__(self, logits: Tensor, noise: float) -> None:
        self.logits, self.noise = logits, noise
        super().__init__(logits.shape[:-1], validate_args=False)

    @property
    def support(self) -> constraints.Constraint:
        """The labels 0 .. C-1."""
        return constraints.integer_interval(0, self.logits.shape[-1] - 1)

    def expand(
        self, batch_shape: torch.Size | list[int] | tuple[int, ...], _instance: object = None
    ) -> NoisyDirichletLabels:
        """Return it with another batch shape."""
        return NoisyDirichletLabels(self.logits.expand(*batch_shape, -1), self.noise)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-density of the logits given labels, in nats."""
        hot = one_hot(value.long(), self.logits.shape[-1]).to(self.logits.dtype)
        mean, variance = log_gamma_moments(hot + self.noise)
        terms = (self.logits - mean).square() / variance + variance.log() + math.log(2 * math.pi)
        return -0.5 * terms.sum(-1)

    def sample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Draw labels in proportion to the density."""
        classes = torch.arange(self.logits.shape[-1], device=self.logits.device)
        each = classes.reshape(-1, *[1] * len(self.batch_shape)).expand(-1, *self.batch_shape)
        return Categorical(logits=self.log_prob(each).movedim(0, -1)).sample(torch.Size(sample_shape))


def log_gamma_moments(alpha: Tensor) -> tuple[Tensor, Tensor]:
    r"""Return mean and variance of the Gaussian that stands for the log of a Gamma(alpha, 1) variable.

    The log-normal of the same mean and variance as the Gamma:
    :math:`v=\log(1/\alpha+1)`, :math:`m=\log\alpha-v/2`.
    """
    variance = torch.log1p(1 / alpha)
    return alpha.log() - variance / 2, variance


class NoisyDirichlet(Classification):
    r"""Noisy-Dirichlet likelihood of labels (Kapoor et al. 2022, arXiv 2203.16481, after Milios et al. 2018).

    A label y is one count on a Dirichlet of concentrations :math:`\alpha_c=e+[c=y]`, and the logits
    :math:`f_c=g_c\,\mathrm{mean}_t r_{t,c}+b_c` observe the logs of its Gamma variables through the Gaussian
    of :func:`log_gamma_moments`.  Gain g and offset b of each class are learned (``train.other_lr``), because
    the logits' targets lie far out (-6.9 at e = 0.01) where a binary read-out does not reach.

    The smaller e, the more a label weighs: from logits of 0 to those that fit, the log-likelihood of an
    example rises by :math:`\sum_c m_c^2/(2v_c)`, with 10 classes 140 nats at e = 1e-6, 47 at 1e-2; a
    softmax gives at most log 10 = 2.3.  So a KL weight of 1 need not underfit.

    .. warning::
        Assumes that labels are as sure as e says: mislabelled examples cost hundreds of nats and dominate
        the fit.  One notices it as a validation accuracy far below that of ``rate``; raise e.  The
        ``log_likelihood`` is a density of the logits: do not compare it with that of other likelihoods.

    Args:
        n_classes: number of classes C, at least 2; the read-out has C units.
        noise: e > 0, the concentration of the classes that were not observed.

    Raises:
        ModelError: if a setting is out of its range.

    Example:
        >>> likelihood = NoisyDirichlet(3)
        >>> readout = torch.tensor([[[0.0, -7.0, -7.0]]])  # [B, T, C], the counted steps
        >>> likelihood.predict(readout).argmax(-1)
        tensor([0])
        >>> likelihood.log_prob(readout, torch.tensor([0])) > likelihood.log_prob(readout, torch.tensor([1]))
        tensor([True])
    """

    gain: Tensor
    offset: Tensor

    def __init__(self, n_classes: int, noise: float = 0.01) -> None:
        super().__init__()
        if not 0 < noise < math.inf:
            raise ModelError(f"likelihood noise must be a positive number, not {noise}")
        self.n_classes = self.n_outputs = check_classes(n_classes)
        self.noise = noise
        self.gain = PyroParam(torch.ones(n_classes), constraints.positive, 1)  # type: ignore[assignment]
        self.offset = PyroParam(torch.zeros(n_classes), constraints.real, 1)  # type: ignore[assignment]

    def _logits(self, readout: Tensor) -> Tensor:
        return readout.mean(-2) * self.gain + self.offset

    def distribution(self, readout: Tensor, y: Tensor | None, window: Window) -> TorchDistribution:
        """Return the distribution of the labels, batch shape ``[*S, B]``."""
        return NoisyDirichletLabels(self._logits(readout), self.noise)

    def predict(self, readout: Tensor, window: Window | None = None) -> Tensor:
        """Return class probabilities ``[*S, B, C]``: the softmax of the logits."""
        return torch.softmax(self._logits(readout), dim=-1)
