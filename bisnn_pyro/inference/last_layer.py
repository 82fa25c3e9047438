"""A posterior over the last layer's synapses alone."""

from __future__ import annotations

from typing import Any

import pyro.distributions as dist
import torch
from pyro.distributions import TorchDistribution
from torch import Tensor

from bisnn_pyro.errors import ModelError
from bisnn_pyro.inference.guides import AutoRelaxedSign, SignStraightThrough


class AutoBayesianLastLayer(AutoRelaxedSign):
    r"""A Bernoulli posterior over the read-out's synapses; all others are straight-through points.

    The read-out is trained as in :class:`AutoRelaxedSign`, the hidden layers as in
    :class:`AutoStraightThrough`, by one optimiser (Adam: the Bayesian rule is for natural parameters
    alone).  All parameters have the role ``natural``; those of the hidden layers are latents.

    .. warning::
        Assumes that the uncertainty of the features does not matter.  One notices failure as confident
        predictions far from the training data, where the features themselves are arbitrary.

    Args:
        model: a Pyro model whose latent sites are all :class:`SignBernoulli`.
        site: the site that has a posterior; the default needs ``network.readout = "trained"``.
        options: as for :class:`AutoRelaxedSign`.

    Raises:
        ModelError: by :meth:`initialize`, if the model has no such site.

    Example:
        >>> from bisnn_pyro.models import BernoulliRate, SpikingGLM
        >>> guide = AutoBayesianLastLayer(SpikingGLM(2, [3], BernoulliRate(), readout="trained"))
        >>> guide.initialize(torch.zeros(5, 1, 2), torch.zeros(1))
        >>> {name: bool(natural.isfinite().all()) for name, natural in guide.natural_parameters().items()}
        {'layers.0.weight': False, 'readout.weight': True}
    """

    default_rule = "adam"

    def __init__(self, model: Any, *, site: str = "readout.weight", **options: Any) -> None:
        super().__init__(model, **options)
        self.site = site

    def _setup_prototype(self, *args: Any, **kwargs: Any) -> None:
        super()._setup_prototype(*args, **kwargs)
        if self.site not in self.sites:
            raise ModelError(
                f"{type(self).__name__} needs the site {self.site!r}, and there are {', '.join(self.sites)}; "
                "set network.readout = 'trained', or guide.site"
            )

    def _sign(self, name: str) -> Tensor:
        return SignStraightThrough.apply(self.parameter("natural", name), None)

    def _training_distribution(self, name: str) -> TorchDistribution:
        return super()._training_distribution(name) if name == self.site else dist.Delta(self._sign(name))

    def _posterior(self, name: str) -> TorchDistribution:
        return super()._posterior(name) if name == self.site else dist.Delta(self._sign(name))

    def _draw(self, name: str, generator: torch.Generator) -> Tensor:
        return super()._draw(name, generator) if name == self.site else self._sign(name).detach()

    def mode(self) -> dict[str, Tensor]:
        """Return the most probable network."""
        return {name: self._sign(name).detach() for name in self._known_sites()}

    def natural_parameters(self) -> dict[str, Tensor]:
        """Return lambda of the last layer, and plus or minus infinity for the points."""
        found = super().natural_parameters()
        points = {name: torch.inf * self._sign(name).detach() for name in found if name != self.site}
        return found | points
