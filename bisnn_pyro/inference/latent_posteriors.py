"""Posteriors read off a straight-through net: from its latents, or from its gradients."""

from __future__ import annotations

import math
from abc import abstractmethod
from functools import partial
from typing import Any, ClassVar

import pyro.distributions as dist
import torch
from pyro.distributions import TorchDistribution
from torch import Tensor

from bisnn_pyro.distributions import SignBernoulli, log_odds
from bisnn_pyro.errors import ModelError
from bisnn_pyro.inference.guides import AutoStraightThrough, draw_signs, sign_quantile
from bisnn_pyro.inference.history import Row
from bisnn_pyro.inference.rules import LARGEST_NATURAL

_FAR = 100.0
"""A mean so many deviations from zero is certain: its natural parameter is beyond the largest."""


def checked_positive(name: str, value: float) -> float:
    """Return a guide's setting, a finite number above 0.

    Raises:
        ModelError: if it is not.
    """
    if not 0 < value < math.inf:
        raise ModelError(f"guide {name} must be a positive number, not {value}")
    return value


def checked_share(share: float) -> float:
    """Return a share of training, in (0, 1].

    Raises:
        ModelError: if it is out of range.
    """
    if not 0 < share <= 1:
        raise ModelError(f"guide share is the last share of training, in (0, 1], not {share}")
    return share


class LatentPosterior(AutoStraightThrough):
    """A Bernoulli posterior read off a network that is trained as :class:`AutoStraightThrough`.

    Loss and training are those of the single network: its posterior costs no training.  A subclass defines
    the natural parameters.
    """

    point = False

    @abstractmethod
    def _natural(self, name: str) -> Tensor:
        """Return lambda of a site; values beyond :data:`LARGEST_NATURAL` are cut off."""

    def natural_parameters(self) -> dict[str, Tensor]:
        """Return lambda for each site."""
        return {name: self._bounded(name) for name in self._known_sites()}

    def mode(self) -> dict[str, Tensor]:
        """Return the most probable network, which need not be the trained one."""
        return {name: self._posterior(name).mode for name in self._known_sites()}

    def _posterior(self, name: str) -> TorchDistribution:
        return SignBernoulli(self._bounded(name))

    @torch.no_grad()
    def _bounded(self, name: str) -> Tensor:
        natural = self._natural(name)
        limit = LARGEST_NATURAL[natural.dtype]
        return natural.clamp(-limit, limit)

    def _draw(self, name: str, generator: torch.Generator) -> Tensor:
        return draw_signs(self._bounded(name), generator)

    def _quantile(self, name: str, u: Tensor) -> Tensor:
        return sign_quantile(self._bounded(name), u)


class AutoUniformFlips(LatentPosterior):
    r"""Every synapse of a straight-through net flips with one probability, :math:`1/(1+e^{2\kappa})`.

    :math:`\lambda=\kappa\operatorname{sign}(w_r)`: the control for any posterior over synapses.  A posterior
    that is no better than this one knows nothing about single synapses.

    Args:
        model: a Pyro model whose latent sites are all :class:`SignBernoulli`.
        kappa: :math:`\kappa>0`; 1.5 flips one synapse in 21, 2 one in 56.
        clip: see :class:`AutoStraightThrough`.
        init_scale: see :class:`AutoStraightThrough`.

    Example:
        >>> from bisnn_pyro.models import BernoulliRate, SpikingGLM
        >>> guide = AutoUniformFlips(SpikingGLM(2, [3], BernoulliRate()), kappa=2.0)
        >>> guide.initialize(torch.zeros(5, 1, 2), torch.zeros(1))
        >>> guide.natural_parameters()["layers.0.weight"].abs().unique()
        tensor([2.])
    """

    def __init__(
        self, model: Any, *, kappa: float = 2.0, clip: float | None = None, init_scale: float = 0.1
    ) -> None:
        super().__init__(model, clip=clip, init_scale=init_scale)
        self.kappa = checked_positive("kappa", kappa)

    def _natural(self, name: str) -> Tensor:
        return self.kappa * self._value(name)


class AutoScaledLatents(LatentPosterior):
    r"""The latents of a straight-through net as natural parameters, in units of their spread.

    :math:`\lambda=a\,w_r/\operatorname{sd}(w_r)`, the standard deviation over all synapses of a site, so that
    the scale of the latents does not matter and one a serves all layers.

    .. warning::
        Assumes that a latent far from zero is a synapse that matters.  Latents also grow because a synapse
        is seldom corrected, so that a large one may be unimportant; one notices it as a committee no better
        than that of :class:`AutoUniformFlips`.

    Args:
        model: a Pyro model whose latent sites are all :class:`SignBernoulli`.
        scale: a > 0.
        clip: see :class:`AutoStraightThrough`; it bounds what is read off.
        init_scale: see :class:`AutoStraightThrough`.

    Example:
        >>> from bisnn_pyro.models import BernoulliRate, SpikingGLM
        >>> guide = AutoScaledLatents(SpikingGLM(2, [3], BernoulliRate()), scale=4.0)
        >>> guide.initialize(torch.zeros(5, 1, 2), torch.zeros(1))
        >>> round(float(guide.natural_parameters()["layers.0.weight"].std(correction=0)), 3)
        4.0
    """

    def __init__(
        self, model: Any, *, scale: float = 4.0, clip: float | None = None, init_scale: float = 0.1
    ) -> None:
        super().__init__(model, clip=clip, init_scale=init_scale)
        self.scale = checked_positive("scale", scale)

    def _natural(self, name: str) -> Tensor:
        latent = self.parameter("latent", name)
        deviation = latent.std(correction=0).clamp_min(torch.finfo(latent.dtype).tiny)
        return self.scale * (latent / deviation)


class _GatheredMoments(LatentPosterior):
    """Mean and variance of one number per synapse over the last share of training, by Welford's updates.

    They are buffers: part of ``state_dict`` and of checkpoints.
    """

    collects = True
    count: Tensor
    _statistics: ClassVar[tuple[str, ...]] = ("gathered_mean", "gathered_square")

    def __init__(
        self, model: Any, *, share: float = 0.25, clip: float | None = None, init_scale: float = 0.1
    ) -> None:
        super().__init__(model, clip=clip, init_scale=init_scale)
        self.share = checked_share(share)
        self.register_buffer("count", torch.zeros((), dtype=torch.long))

    def _register(self, role: str, name: str, value: Tensor) -> None:
        super()._register(role, name, value)
        for statistic in self._statistics:
            self._register_statistic(statistic, name, torch.zeros_like(value))

    def _gather(self, values: dict[str, Tensor]) -> None:
        self.count += 1
        for name, value in values.items():
            mean, square = self._moments(name)
            away = value - mean
            mean += away / self.count
            square += away * (value - mean)

    def _moments(self, name: str) -> tuple[Tensor, Tensor]:
        """Return the mean, and the sum of squared deviations from it."""
        return self.parameter("gathered_mean", name), self.parameter("gathered_square", name)

    def _natural(self, name: str) -> Tensor:
        if not int(self.count):  # nothing gathered yet: the network itself
            return torch.inf * self._value(name)
        mean, square = self._moments(name)
        return self._natural_of(name, mean, square / self.count)

    @abstractmethod
    def _natural_of(self, name: str, mean: Tensor, variance: Tensor) -> Tensor:
        """Return lambda of a site for what was gathered."""


class AutoSignSWAG(_GatheredMoments):
    r"""The sign of a Gaussian fitted to the latents' trajectory: SWAG (arXiv 1902.02476) for binary synapses.

    With mean m and standard deviation s of a latent before each batch of the last share of training,
    :math:`P(w=+1)=\Phi(m/s)`.  The diagonal Gaussian alone; no low-rank part.

    .. warning::
        Assumes that the end of training moves about the posterior.  A learning rate that falls to zero
        freezes the latents, and with them the posterior becomes a point; one notices it as a committee that
        agrees with its mode.  Before that share of training the posterior is the network itself.
        ``train.restore_best`` and ``train.patience`` do not go with it.

    Args:
        model: a Pyro model whose latent sites are all :class:`SignBernoulli`.
        share: last share of training that is gathered, in (0, 1].
        clip: see :class:`AutoStraightThrough`.
        init_scale: see :class:`AutoStraightThrough`.

    Example:
        >>> from bisnn_pyro.models import BernoulliRate, SpikingGLM
        >>> guide = AutoSignSWAG(SpikingGLM(2, [3], BernoulliRate()))
        >>> guide.initialize(torch.zeros(5, 1, 2), torch.zeros(1))
        >>> latent = guide.parameter("latent", "layers.0.weight")
        >>> for value in (1.0, 3.0):  # mean 2, deviation 1
        ...     _ = latent.data.fill_(value)
        ...     _ = guide.anneal(0.9)
        >>> torch.sigmoid(2 * guide.natural_parameters()["layers.0.weight"]).unique()  # Phi(2)
        tensor([0.9772])
    """

    def anneal(self, progress: float) -> Row:
        """Gather the latents as they are now, in the last share of training."""
        if progress >= 1 - self.share:
            self._gather({name: self.parameter("latent", name).detach() for name in self._known_sites()})
        return {}

    def _natural_of(self, name: str, mean: Tensor, variance: Tensor) -> Tensor:
        z = mean / variance.sqrt().clamp_min(torch.finfo(mean.dtype).tiny)
        return 0.5 * log_odds(z.clamp(-_FAR, _FAR))


def flip_natural(w: Tensor, gradient: Tensor, curvature: Tensor, temperature: float) -> Tensor:
    r"""Return the natural parameters of synapses that flip one at a time at a temperature.

    The second-order expansion of an energy E has :math:`E(-w_i)-E(w_i)=-2w_ig_i+2h_{ii}` for a flip of
    :math:`w_i`, and :math:`p\propto e^{-E/T}` the log-odds :math:`2\lambda_iw_i` of that difference over T:
    :math:`\lambda_iw_i=(h_{ii}-w_ig_i)/T`.  It is exact for a quadratic energy.

    Args:
        w: the network, +-1.
        gradient: g, in the shape of ``w``.
        curvature: h, the diagonal of the Hessian, in the shape of ``w``.
        temperature: T > 0.

    Example:
        >>> w = torch.tensor([1.0, -1.0])  # E(w) = w_1 + 3 w_2: the first synapse stands wrong
        >>> flip_natural(w, torch.tensor([1.0, 3.0]), torch.zeros(2), temperature=1.0)
        tensor([-1., -3.])
    """
    return w * (curvature - w * gradient) / temperature


class AutoBernoulliLaplace(_GatheredMoments):
    r"""A Laplace approximation on the corners: how much the energy rises when one synapse flips.

    :math:`\lambda_iw_i=(h_{ii}-w_ig_i)/T`, see :func:`flip_natural`, with the energy E of the whole data set,
    :math:`\beta` KL included.  Gradients :math:`\hat g` of the loss per example, in the binary weights, are
    gathered over the last share of training: :math:`g=N\,\overline{\hat g}`.  The curvature is the empirical
    Fisher information, the sum of squared gradients of single examples; from batches of B it is
    :math:`h=N\,(B\operatorname{var}\hat g+\overline{\hat g}^2)`, without bias for independent batches.

    A negative value says that the flip would lower the energy.  It becomes a fair coin whose mode is still
    the trained sign: an expansion over a step of 2 is too rough to overrule training.

    .. warning::
        Assumes that synapses flip independently, that the energy is quadratic over a step of 2, that the
        surrogate's gradient is the derivative, and that the empirical Fisher is the curvature, which holds
        only for a model that fits its data (arXiv 1905.12558).  The scale of h is the least certain, and T
        (fitted on validation data) makes up for it; the ratio of h to g it cannot repair.  One notices
        failure as a committee no better than that of :class:`AutoUniformFlips`, or as most
        ``natural_parameters`` at zero.  ``train.restore_best`` and ``train.patience`` do not go with it.

    Args:
        model: a Pyro model whose latent sites are all :class:`SignBernoulli`, with a ``dataset_size`` N (the
            learner sets it).
        batch_size: examples in a mini-batch, B.
        temperature: T > 0; 1 is the posterior of single flips.
        share: last share of training that is gathered, in (0, 1].
        clip: see :class:`AutoStraightThrough`.
        init_scale: see :class:`AutoStraightThrough`.

    Raises:
        ModelError: by :meth:`anneal`, if the model has no ``dataset_size``.
    """

    _statistics = ("gathered_mean", "gathered_square", "pending")
    n_examples: Tensor
    waiting: Tensor

    def __init__(
        self,
        model: Any,
        *,
        batch_size: int,
        temperature: float = 1.0,
        share: float = 0.25,
        clip: float | None = None,
        init_scale: float = 0.1,
    ) -> None:
        super().__init__(model, share=share, clip=clip, init_scale=init_scale)
        self.batch_size = batch_size
        self.temperature = checked_positive("temperature", temperature)
        self._gathering = False
        self.register_buffer("n_examples", torch.zeros((), dtype=torch.long))
        self.register_buffer("waiting", torch.zeros((), dtype=torch.bool))

    def anneal(self, progress: float) -> Row:
        """Gather the gradient of the batch before, and wait for the next one."""
        self._gathering = progress >= 1 - self.share
        if self._gathering:
            size = getattr(self.model, "dataset_size", None)
            if size is None:
                raise ModelError(f"{type(self).__name__} needs the number of examples, model.dataset_size")
            self.n_examples.fill_(size)
        if self.waiting:
            pending = {name: self.parameter("pending", name) for name in self._known_sites()}
            self._gather(pending)
            for gradient in pending.values():
                gradient.zero_()
            self.waiting.fill_(False)
        return {}

    def _training_distribution(self, name: str) -> TorchDistribution:
        w = self._value(name)
        if self._gathering and w.requires_grad:
            w.register_hook(partial(self._add_gradient, name))
        return dist.Delta(w)

    def _add_gradient(self, name: str, gradient: Tensor) -> None:
        # Summed up, because an update may take several backward passes; a buffer, so that it is resumed.
        self.parameter("pending", name).add_(gradient)
        self.waiting.fill_(True)

    def _natural_of(self, name: str, mean: Tensor, variance: Tensor) -> Tensor:
        w, n = self._value(name), self.n_examples
        curvature = n * (self.batch_size * variance + mean.square())
        natural = flip_natural(w, n * mean, curvature, self.temperature)
        return w * (w * natural).clamp_min(torch.finfo(w.dtype).tiny)
