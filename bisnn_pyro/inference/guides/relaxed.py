"""The Bayesian posterior of binary synapses: independent Bernoullis, relaxed for training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor

from bisnn_pyro.distributions import HardRelaxedSignBernoulli, RelaxedSignBernoulli, SignBernoulli
from bisnn_pyro.errors import ModelError
from bisnn_pyro.inference.guides.base import SynapticGuide


class AutoRelaxedSign(SynapticGuide):
    r"""Mean-field Bernoulli posterior with natural parameters as its own (BiSNN, arXiv 2012.08300).

    In ``train()`` a draw is :math:`\tanh((\lambda+\delta)/\tau)`, or its sign with the same derivative
    if ``hard``; in ``eval()`` it is +-1.

    .. warning::
        Assumes that the likelihood at relaxed weights stands for that at binary ones.  It is biased for
        every :math:`\tau>0`; a small :math:`\tau` is less biased and noisier (the gradient's scale grows
        as :math:`1/\tau`).  One notices bias as a validation loss of hard draws well above the training
        loss, and noise as a loss that does not settle.

    Args:
        model: a Pyro model whose latent sites are all :class:`SignBernoulli`.
        temperature: :math:`\tau > 0`, a buffer that a schedule may change.
        hard: draw +-1 in training too, with the relaxed derivative.
        init_scale: initial :math:`\lambda` is uniform in ``(-init_scale, init_scale)``.  Never start far
            out: at the released code's +-10 a float32 gradient is already lost.
    """

    roles = ("natural",)
    temperature: Tensor

    def __init__(
        self,
        model: Callable[..., Any],
        *,
        temperature: float = 1.0,
        hard: bool = False,
        init_scale: float = 0.1,
    ) -> None:
        super().__init__(model, init_scale=init_scale)
        if not temperature > 0:
            raise ModelError(f"guide temperature must be positive, not {temperature}")
        self.register_buffer("temperature", torch.tensor(float(temperature)))
        self.hard = hard

    def _covers(self, prior: TorchDistribution) -> bool:
        return isinstance(prior, SignBernoulli)

    def _initial(self, prior: TorchDistribution, shape: torch.Size) -> dict[str, Tensor]:
        like = prior.natural
        noise = 2 * torch.rand(shape, dtype=like.dtype, device=like.device) - 1
        return {"natural": self.init_scale * noise}

    def _training_distribution(self, name: str) -> TorchDistribution:
        relaxed = HardRelaxedSignBernoulli if self.hard else RelaxedSignBernoulli
        return relaxed(self.temperature, self.parameter("natural", name))

    def _posterior(self, name: str) -> TorchDistribution:
        return SignBernoulli(self.parameter("natural", name))

    def _draw(self, name: str, generator: torch.Generator) -> Tensor:
        p = torch.sigmoid(2 * self.parameter("natural", name).detach())
        u = torch.rand(p.shape, generator=generator, dtype=p.dtype)
        return torch.where(u.to(p.device) < p, 1.0, -1.0).to(p.dtype)

    def natural_parameters(self) -> dict[str, Tensor]:
        """Return lambda for each site."""
        return {name: self.parameter("natural", name).detach() for name in self._known_sites()}
