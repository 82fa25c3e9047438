"""Priors over a layer's synapses."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from bisnn_pyro.distributions import SignBernoulli
from bisnn_pyro.errors import ModelError


class Prior(nn.Module, ABC):
    """A distribution over a weight matrix, made for the shape that a layer asks for."""

    binary: bool
    """Whether draws are in {-1, +1}."""

    @abstractmethod
    def distribution(self, shape: Sequence[int]) -> dist.TorchDistribution:
        """Return the prior of a weight array of this shape, all dimensions as the event."""

    def at(self, name: str) -> Prior:
        """Return the prior of a layer (``layers.0``) or of its site (``weight``): by default itself."""
        return self


class BinaryPrior(Prior):
    r"""Independent :class:`SignBernoulli` synapses with P(w = +1) = p.

    Args:
        p: probability of +1, strictly between 0 and 1; 0.5 is the fair prior.

    Example:
        >>> prior = BinaryPrior(0.9).distribution((2, 3))
        >>> prior.sample().abs()
        tensor([[1., 1., 1.],
                [1., 1., 1.]])
    """

    binary = True
    natural: Tensor

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0 < p < 1:
            raise ModelError(f"prior p must lie strictly between 0 and 1, not {p}")
        self.register_buffer("natural", torch.tensor(0.5 * math.log(p / (1 - p))))

    def distribution(self, shape: Sequence[int]) -> dist.TorchDistribution:
        """Return the prior of a weight array of this shape."""
        return SignBernoulli(self.natural).expand(torch.Size(shape)).to_event(len(shape))


class NormalPrior(Prior):
    """Independent ``Normal(0, scale)`` synapses, for full precision and Gaussian guides.

    Args:
        scale: standard deviation; 1 gives weights of the size of binary ones.
    """

    binary = False
    scale: Tensor

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        if not (math.isfinite(scale) and scale > 0):
            raise ModelError(f"prior scale must be a positive number, not {scale}")
        self.register_buffer("scale", torch.tensor(float(scale)))

    def distribution(self, shape: Sequence[int]) -> dist.TorchDistribution:
        """Return the prior of a weight array of this shape."""
        return dist.Normal(torch.zeros_like(self.scale), self.scale).expand(shape).to_event(len(shape))


class PosteriorPrior(Prior):
    r"""Independent signs whose natural parameters are those of another run's posterior.

    :math:`\lambda_0` is ``scale`` times the other posterior's :math:`\lambda`, cut off at plus and minus
    ``limit``.  A point estimate has infinite ones, so that its prior is
    :math:`\lambda_0=` ``limit`` times its signs.

    .. warning::
        Assumes that the other run has not seen the examples that the posterior is trained on
        (``train.share``).  Otherwise they count twice, and the posterior is too sure of itself; no number of
        the run shows it.  ``bisnn certify`` checks it.

    Args:
        run: the folder of the other run; its network, likelihood and encoder must be the same.
        scale: factor on its natural parameters.
        limit: largest size of a natural parameter; a synapse that the posterior turns over costs about
            twice as many nats.
        naturals: site -> :math:`\lambda` of the other posterior ``[O, I]``, which whoever builds a model
            reads from the run.

    Raises:
        ModelError: if a setting is out of its range, or a site has no natural parameters of its shape.

    Example:
        >>> naturals = {"layers.0.weight": torch.tensor([[torch.inf, -0.5]])}
        >>> prior = PosteriorPrior("run", limit=2.0, naturals=naturals)
        >>> prior.at("layers.0").at("weight").distribution((1, 2)).base_dist.natural
        tensor([[ 2.0000, -0.5000]])
    """

    binary = True

    def __init__(
        self,
        run: str,
        *,
        scale: float = 1.0,
        limit: float = 3.0,
        naturals: Mapping[str, Tensor] | None = None,
    ) -> None:
        super().__init__()
        for key, value in (("scale", scale), ("limit", limit)):
            if not (math.isfinite(value) and value > 0):
                raise ModelError(f"prior {key} must be a positive number, not {value}")
        self.run, self.scale, self.limit = run, scale, limit
        self.naturals = dict(naturals or {})
        cut = {name: (scale * value.detach()).clamp(-limit, limit) for name, value in self.naturals.items()}
        self.sites = nn.ModuleDict({_key(name): _SiteOfPrior(run, value) for name, value in cut.items()})

    def at(self, name: str) -> Prior:
        """Return the prior of a layer, or of a site."""
        if _key(name) in self.sites:
            return self.sites[_key(name)]  # type: ignore[return-value]
        inner = {
            site.removeprefix(f"{name}."): value
            for site, value in self.naturals.items()
            if site.startswith(f"{name}.")
        }
        return PosteriorPrior(self.run, scale=self.scale, limit=self.limit, naturals=inner)

    def distribution(self, shape: Sequence[int]) -> dist.TorchDistribution:
        """Raise an error: every site has its own, see :meth:`at`.

        Raises:
            ModelError: always.
        """
        raise ModelError(f"the prior from {self.run!r} has no such site: the networks differ")


class _SiteOfPrior(Prior):
    """One site of a posterior that serves as a prior."""

    binary = True
    natural: Tensor

    def __init__(self, run: str, natural: Tensor) -> None:
        super().__init__()
        self.run = run
        # Not in a state dict: whoever keeps the model keeps the natural parameters once, for all layers.
        self.register_buffer("natural", natural, persistent=False)

    def distribution(self, shape: Sequence[int]) -> dist.TorchDistribution:
        """Return the prior of the site, whose shape this must be."""
        if self.natural.shape != torch.Size(shape):
            raise ModelError(
                f"the prior from {self.run!r} has a site of shape {tuple(self.natural.shape)}, and the "
                f"network one of {tuple(shape)}: the networks differ"
            )
        return SignBernoulli(self.natural).to_event(len(shape))


def _key(name: str) -> str:
    return name.replace(".", "__")
