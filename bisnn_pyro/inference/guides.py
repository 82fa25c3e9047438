"""The guides of the package: posteriors and point estimates over synapses."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import pyro.distributions as dist
import torch
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import constraints

from bisnn_pyro.distributions import (
    FirstOrderSign,
    HardRelaxedSignBernoulli,
    LocalSign,
    RelaxedSignBernoulli,
    SecondOrderSign,
    SignBernoulli,
)
from bisnn_pyro.errors import ModelError
from bisnn_pyro.inference.history import Row
from bisnn_pyro.inference.schedules import Schedule
from bisnn_pyro.inference.synaptic_guide import MAX_SCALE, SynapticGuide

Estimator = Literal["second-order", "first-order", "local", "relaxed", "hard"]

ESTIMATORS: dict[str, type[SignBernoulli] | type[RelaxedSignBernoulli]] = {
    "relaxed": RelaxedSignBernoulli,
    "hard": HardRelaxedSignBernoulli,
    "second-order": SecondOrderSign,
    "first-order": FirstOrderSign,
    "local": LocalSign,
}
"""What a training draw is and how its gradient is estimated; ``bisnn_pyro.testing.EstimatorContract``."""


def sign_quantile(natural: Tensor, uniform: Tensor) -> Tensor:
    """Return the signs of natural parameters at uniform numbers of their shape."""
    p = torch.sigmoid(2 * natural)
    return torch.where(uniform.to(p.device) < p, 1.0, -1.0).to(p.dtype)


def draw_signs(natural: Tensor, generator: torch.Generator) -> Tensor:
    """Draw signs with an explicit generator."""
    uniform = torch.rand(natural.shape, generator=generator, dtype=natural.dtype)
    return sign_quantile(natural, uniform)


class AutoRelaxedSign(SynapticGuide):
    r"""Mean-field Bernoulli posterior with natural parameters as its own (BiSNN, arXiv 2012.08300).

    In ``eval()`` a draw is +-1.  In ``train()`` it is that of the estimator:

    - ``second-order``, the default: +-1, see :class:`~bisnn_pyro.distributions.SecondOrderSign`;
    - ``first-order``: +-1, see :class:`~bisnn_pyro.distributions.FirstOrderSign`;
    - ``local``: noise of each example's own, see :class:`~bisnn_pyro.distributions.LocalSign`;
    - ``relaxed``: :math:`\tanh((\lambda+\delta)/\tau)`, the paper's;
    - ``hard``: its sign, with the same derivative.

    .. warning::
        The last two assume that the likelihood at relaxed weights approximates that at binary ones, and are
        biased for every :math:`\tau>0`: a relaxed network is less noisy than the networks that vote.  A small
        :math:`\tau` is less biased and noisier (the gradient's scale grows as :math:`1/\tau`).  One notices
        bias as a validation loss of hard draws well above the training loss, and noise as a loss that
        does not settle.

    Args:
        model: a Pyro model whose latent sites are all :class:`SignBernoulli`.
        estimator: ``second-order``, ``first-order``, ``local``, ``relaxed`` or ``hard``.
        temperature: :math:`\tau > 0` of ``relaxed`` and ``hard``, a number (default 1) or a schedule over
            training; :meth:`anneal` sets it.
        init_scale: initial :math:`\lambda` is uniform in ``(-init_scale, init_scale)``.  Never start far
            out: at the released code's +-10 a float32 gradient is already lost.
        start: ``random``, or ``prior`` to start at the prior itself, as suits a prior from another run.

    Example:
        >>> from bisnn_pyro.models import BernoulliRate, SpikingGLM
        >>> model = SpikingGLM(2, [3], BernoulliRate())
        >>> guide = AutoRelaxedSign(model, estimator="relaxed", temperature=0.5)
        >>> guide.initialize(torch.zeros(5, 1, 2), torch.zeros(1))  # spikes [T, B, I] and targets [B]
        >>> bool((guide()["layers.0.weight"].abs() < 1).all())  # a training draw is relaxed
        True
        >>> guide.sample_posterior(4, seed=0)["layers.0.weight"].unique()  # members of a committee are not
        tensor([-1.,  1.])
    """

    default_rule = "bayesian"
    roles: ClassVar[tuple[str, ...]] = ("natural",)
    temperature: Tensor
    warm_scale: Tensor

    def __init__(
        self,
        model: Callable[..., Any],
        *,
        estimator: Estimator = "second-order",
        temperature: float | Schedule | None = None,
        init_scale: float = 0.1,
        start: Literal["random", "prior"] = "random",
    ) -> None:
        super().__init__(model, init_scale=init_scale)
        if estimator not in ESTIMATORS:
            raise ModelError(f"guide estimator {estimator!r} is not one of {', '.join(ESTIMATORS)}")
        self.estimator, self.tempered = estimator, estimator in ("relaxed", "hard")
        if temperature is not None and not self.tempered:
            raise ModelError(
                f"guide temperature is for the estimators relaxed and hard, and this is {estimator!r}: "
                "leave it out"
            )
        temperature = 1.0 if temperature is None else temperature
        if start not in ("random", "prior"):
            raise ModelError(f"guide start must be 'random' or 'prior', not {start!r}")
        self.start = start
        self.schedule = temperature if isinstance(temperature, Schedule) else Schedule(float(temperature))
        if self.schedule.warmup or not all(self.schedule(progress) > 0 for progress in (0.0, 1.0)):
            raise ModelError(f"guide temperature must be positive throughout training, not {temperature}")
        self.register_buffer("temperature", torch.tensor(self.schedule(0.0)))
        self.register_buffer("warm_scale", torch.tensor(0.0))

    def anneal(self, progress: float) -> Row:
        """Set the temperature to its schedule's value, and return it."""
        self.temperature.fill_(self.schedule(progress))
        return {"temperature": float(self.temperature)} if self.tempered else {}

    @property
    def warming(self) -> bool:
        """Whether a warm start is under way."""
        return bool(self.warm_scale > 0)

    def begin_warm_start(self, scale: float) -> None:
        """Take the parameters as latents of a straight-through network until :meth:`end_warm_start`."""
        self.warm_scale.fill_(scale)

    def end_warm_start(self) -> None:
        """Make natural parameters of the latents: ``scale`` times the latent over a site's deviation."""
        with torch.no_grad():
            for name in self._known_sites():
                self.parameter("natural", name).copy_(self._natural(name))
        self.warm_scale.fill_(0.0)

    def _natural(self, name: str) -> Tensor:
        natural = self.parameter("natural", name)
        if not self.warming:
            return natural
        return natural * (self.warm_scale / natural.square().mean().sqrt().clamp_min(1e-30))

    def _covers(self, prior: TorchDistribution) -> bool:
        return isinstance(prior, SignBernoulli)

    def _initial(self, prior: TorchDistribution, shape: torch.Size) -> dict[str, Tensor]:
        like = prior.natural
        if self.start == "prior":
            return {"natural": like.expand(shape)}
        noise = 2 * torch.rand(shape, dtype=like.dtype, device=like.device) - 1
        return {"natural": self.init_scale * noise}

    def _training_distribution(self, name: str) -> TorchDistribution:
        if self.warming:
            return dist.Delta(SignStraightThrough.apply(self.parameter("natural", name), None))
        estimator: Any = ESTIMATORS[self.estimator]
        natural = self._natural(name)
        return estimator(self.temperature, natural) if self.tempered else estimator(natural)

    def _posterior(self, name: str) -> TorchDistribution:
        return SignBernoulli(self._natural(name))

    def _draw(self, name: str, generator: torch.Generator) -> Tensor:
        return draw_signs(self._natural(name).detach(), generator)

    def _quantile(self, name: str, u: Tensor) -> Tensor:
        return sign_quantile(self._natural(name).detach(), u)

    def natural_parameters(self) -> dict[str, Tensor]:
        """Return lambda for each site."""
        return {name: self._natural(name).detach() for name in self._known_sites()}


class AutoMeanFieldGaussian(SynapticGuide):
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
        if not 0 < init_deviation <= MAX_SCALE:
            raise ModelError(f"guide init_deviation must lie in (0, {MAX_SCALE:g}], not {init_deviation}")
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

    def _quantile(self, name: str, u: Tensor) -> Tensor:
        q = self._posterior(name)
        return (q.loc + q.scale * torch.special.ndtri(u)).detach()

    def natural_parameters(self) -> dict[str, Tensor]:
        """Return (mean times precision, minus half the precision), ``[2, O, I]`` for each site."""
        result = {}
        for name in self._known_sites():
            q = self._posterior(name)
            precision = q.scale.detach() ** -2
            result[name] = torch.stack((q.loc.detach() * precision, -0.5 * precision))
        return result


class _PointGuide(SynapticGuide):
    point = True

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

    Its KL is minus the log-prior density, that is, weight decay; as for any density, only differences of
    it have a meaning.

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
        """Raise an error: a point estimate of a density is not in an exponential family.

        Raises:
            ModelError: always.
        """
        raise ModelError("a full-precision point estimate has no natural parameters; use mode()")


def _spread(shape: torch.Size, like: Tensor) -> Tensor:
    """Return uniform numbers of variance ``1 / I``, ``[O, I]``."""
    noise = torch.rand(shape, dtype=like.dtype, device=like.device) - 0.5
    return noise * math.sqrt(12 / shape[-1])


def _checked(dropout: float | None) -> float | None:
    if dropout is not None and not 0.5 <= dropout <= 1:
        raise ModelError(
            f"guide dropout is the probability that an input keeps its sign, in [0.5, 1], not {dropout}"
        )
    return dropout


class AutoExpectationSign(AutoRelaxedSign):
    r"""Mean-field Bernoulli posterior of binary synapses, fitted by expectation backpropagation.

    The family is that of :class:`AutoRelaxedSign`, and gradient steps use its default estimator.  Natural
    parameters start at the prior's, plus uniform noise of variance ``1 / I`` that breaks the symmetry
    between the units of a layer: in expectation backpropagation the start *is* the prior.

    Args:
        model: a Pyro model whose latent sites are all :class:`SignBernoulli`.
        dropout: probability that an input keeps its sign, in [0.5, 1], which enters the variance of the
            first layer in training; ``None`` for no dropout.
        init_scale: factor on the noise.
    """

    moments = True
    default_rule = "expectation"

    def __init__(self, model: Any, *, dropout: float | None = None, init_scale: float = 1.0) -> None:
        super().__init__(model, init_scale=init_scale)
        self.dropout = _checked(dropout)

    def _initial(self, prior: TorchDistribution, shape: torch.Size) -> dict[str, Tensor]:
        assert isinstance(prior, SignBernoulli)
        return {"natural": prior.natural + self.init_scale * _spread(shape, prior.natural)}


class AutoExpectationNormal(AutoMeanFieldGaussian):
    r"""Gaussian posterior of real synapses with variance 1, fitted by expectation backpropagation.

    Only the means are learned.  They start uniformly distributed around 0 with variance ``1 / I``.

    Args:
        model: a Pyro model whose latent sites are all ``Normal``.
        dropout: see :class:`AutoExpectationSign`.
        init_scale: factor on the spread of the initial means.
    """

    moments = True
    default_rule = "expectation"
    roles = ("loc",)

    def __init__(self, model: Any, *, dropout: float | None = None, init_scale: float = 1.0) -> None:
        super().__init__(model, init_scale=init_scale)
        self.dropout = _checked(dropout)

    def _initial(self, prior: TorchDistribution, shape: torch.Size) -> dict[str, Tensor]:
        return {"loc": self.init_scale * _spread(shape, prior.mean)}

    def _posterior(self, name: str) -> TorchDistribution:
        mean = self.parameter("loc", name)
        return dist.Normal(mean, torch.ones_like(mean))

    _training_distribution = _posterior


ExpectationGuide = AutoExpectationSign | AutoExpectationNormal
"""Either posterior."""
