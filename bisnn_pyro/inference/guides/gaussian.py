"""The Gaussian posterior of real-valued synapses."""

from __future__ import annotations

from typing import Any, ClassVar

import pyro.distributions as dist
import torch
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import constraints

from bisnn_pyro.inference.guides.base import SynapticGuide


class AutoGaussian(SynapticGuide):
    """Mean-field Gaussian posterior of full-precision synapses, with the exact KL to a Normal prior.

    Unlike Pyro's ``AutoNormal`` it shares the interface of the binary guides; training and evaluation
    draw from the same distribution.

    Args:
        model: a Pyro model whose latent sites are all ``Normal``.
        init_scale: standard deviation of the initial means, in units of the prior's.
        init_deviation: initial posterior standard deviation, in units of the prior's.
    """

    binary = False
    roles: ClassVar[tuple[str, ...]] = ("loc", "deviation")

    def __init__(self, model: Any, *, init_scale: float = 1.0, init_deviation: float = 0.1) -> None:
        super().__init__(model, init_scale=init_scale)
        self.init_deviation = init_deviation

    def _covers(self, prior: TorchDistribution) -> bool:
        return isinstance(prior, dist.Normal)

    def _constraint(self, role: str) -> constraints.Constraint:
        return constraints.positive if role == "deviation" else constraints.real

    def _initial(self, prior: TorchDistribution, shape: torch.Size) -> dict[str, Tensor]:
        scale = prior.scale.expand(shape)
        return {
            "loc": self.init_scale * scale * torch.randn_like(scale),
            "deviation": self.init_deviation * scale,
        }

    def _posterior(self, name: str) -> TorchDistribution:
        return dist.Normal(self.parameter("loc", name), self.parameter("deviation", name))

    _training_distribution = _posterior

    def _draw(self, name: str, generator: torch.Generator) -> Tensor:
        q = self._posterior(name)
        noise = torch.randn(q.loc.shape, generator=generator, dtype=q.loc.dtype)
        return (q.loc + q.scale * noise.to(q.loc.device)).detach()

    def natural_parameters(self) -> dict[str, Tensor]:
        """Return (mean times precision, minus half the precision), ``[2, O, I]`` for each site."""
        result = {}
        for name in self._known_sites():
            q = self._posterior(name)
            precision = q.scale.detach() ** -2
            result[name] = torch.stack((q.loc.detach() * precision, -0.5 * precision))
        return result
