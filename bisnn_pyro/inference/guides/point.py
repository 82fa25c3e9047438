"""Point estimates as guides: the straight-through baseline and full precision."""

from __future__ import annotations

from typing import Any

import pyro.distributions as dist
import torch
from pyro.distributions import TorchDistribution
from torch import Tensor

from bisnn_pyro.distributions import SignBernoulli
from bisnn_pyro.errors import ModelError
from bisnn_pyro.inference.guides.base import SynapticGuide


class _PointGuide(SynapticGuide):
    point = True
    predictors = ("mode",)

    def _value(self, name: str) -> Tensor:
        raise NotImplementedError

    def _training_distribution(self, name: str) -> TorchDistribution:
        return dist.Delta(self._value(name))

    def _posterior(self, name: str) -> TorchDistribution:
        return dist.Delta(self._value(name))

    def _draw(self, name: str, generator: torch.Generator) -> Tensor:
        return self._value(name).detach()

    def mode(self) -> dict[str, Tensor]:
        """Return the network."""
        return {name: self._value(name).detach() for name in self._known_sites()}


class SignStraightThrough(torch.autograd.Function):
    """``sign(x)`` with 0 counted as +1; the backward pass is the identity, or cut off where |x| > clip."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, clip: float | None) -> Tensor:
        """Return the sign of ``x``."""
        ctx.clip = clip
        if clip is not None:
            ctx.save_for_backward(x)
        return torch.where(x < 0, -1.0, 1.0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        """Pass the gradient on."""
        if ctx.clip is None:
            return grad, None
        (x,) = ctx.saved_tensors
        return grad * (x.abs() <= ctx.clip), None


class AutoStraightThrough(_PointGuide):
    r"""A single binary network ``w = sign(w_r)`` trained through a real latent (ST-BiSNN, arXiv 2012.08300).

    :math:`w_r \leftarrow w_r - \eta\,\partial L/\partial w`: the sign's derivative is taken as one.  In
    this package it is a Delta guide in the same model, loop and ELBO as the Bayesian one.  Its KL is
    minus the log-prior of the signs: a constant for a fair prior, otherwise a pull towards the likelier
    sign.

    .. warning::
        The gradient belongs to no objective in ``w_r``.  Latents may grow without bound and signs may
        flip to the end; one notices it as a loss that never settles.  ``clip`` bounds that.

    Args:
        model: a Pyro model whose latent sites are all :class:`SignBernoulli`.
        clip: pass no gradient where ``|w_r| > clip``; ``None``, as in the paper, passes all.
        init_scale: initial latents are uniform in ``(-init_scale, init_scale)``.
    """

    roles = ("latent",)

    def __init__(self, model: Any, *, clip: float | None = None, init_scale: float = 0.1) -> None:
        super().__init__(model, init_scale=init_scale)
        self.clip = clip

    def _covers(self, prior: TorchDistribution) -> bool:
        return isinstance(prior, SignBernoulli)

    def _initial(self, prior: TorchDistribution, shape: torch.Size) -> dict[str, Tensor]:
        like = prior.natural
        noise = 2 * torch.rand(shape, dtype=like.dtype, device=like.device) - 1
        return {"latent": self.init_scale * noise}

    def _value(self, name: str) -> Tensor:
        return SignStraightThrough.apply(self.parameter("latent", name), self.clip)

    def natural_parameters(self) -> dict[str, Tensor]:
        """Return plus or minus infinity: the point is the limit of a Bernoulli."""
        return {name: torch.inf * w for name, w in self.mode().items()}


class AutoFullPrecision(_PointGuide):
    """A single real-valued network: the maximum a posteriori under a Normal prior.

    Its KL is minus the log-prior density, that is weight decay; as for any density, only differences of
    it mean anything.

    Args:
        model: a Pyro model whose latent sites are all ``Normal``.
        init_scale: standard deviation of the initial weights, in units of the prior's.
    """

    binary = False
    roles = ("loc",)

    def __init__(self, model: Any, *, init_scale: float = 1.0) -> None:
        super().__init__(model, init_scale=init_scale)

    def _covers(self, prior: TorchDistribution) -> bool:
        return isinstance(prior, dist.Normal)

    def _initial(self, prior: TorchDistribution, shape: torch.Size) -> dict[str, Tensor]:
        return {"loc": self.init_scale * prior.scale * torch.randn_like(prior.scale.expand(shape))}

    def _value(self, name: str) -> Tensor:
        return self.parameter("loc", name)

    def natural_parameters(self) -> dict[str, Tensor]:
        """Raise: a point of a density is no member of an exponential family.

        Raises:
            ModelError: always.
        """
        raise ModelError("a full-precision point estimate has no natural parameters; use mode()")
