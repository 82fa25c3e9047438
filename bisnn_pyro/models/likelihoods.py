"""Likelihoods: from read-outs over time to observed sites, and back to probabilities."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, NamedTuple

import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from pyro.distributions import TorchDistribution
from pyro.nn import PyroModule, PyroParam
from torch import Tensor
from torch.distributions import constraints
from torch.nn.functional import binary_cross_entropy_with_logits

from bisnn_pyro.distributions.normal import log_odds
from bisnn_pyro.errors import ModelError
from bisnn_pyro.models.dynamics import ResetState, TimeConstants, refractory_trace, threshold_scan
from bisnn_pyro.models.neurons import Neuron
from bisnn_pyro.models.soft_targets import is_soft, soft_label
from bisnn_pyro.models.surrogate import Sigmoid


class Window(NamedTuple):
    """Which steps of a sequence a call sees.

    Attributes:
        start: index, in the whole sequence, of the first step given.
        burn_in: how many of the given steps come before the first one that counts.
        fraction: share w / T' of the whole sequence's counted steps; 1 for a whole sequence.
    """

    start: int = 0
    burn_in: int = 0
    fraction: float = 1.0

    @property
    def first(self) -> int:
        """Index, in the whole sequence, of the first counted step."""
        return self.start + self.burn_in


class Likelihood(PyroModule):
    """From read-outs ``[*S, B, T, O]`` (counted steps only) to the observed site, and back.

    A subclass defines its distribution, its target and the weight of its log-probability, and the
    prediction.  ``bisnn_pyro.testing.LikelihoodContract`` is its test suite.
    """

    kind: ClassVar[Literal["classification", "regression"]]
    needs_trained_readout: ClassVar[bool] = False
    soft_targets: ClassVar[bool] = False
    """Whether class probabilities ``[B, C]`` may stand in place of labels ``[B]``."""
    n_outputs: int
    """Number of read-out units O."""

    def distribution(self, readout: Tensor, y: Tensor | None, window: Window) -> TorchDistribution:
        """Return the distribution of the target, batch shape ``[*S, B]``.

        ``y`` is given because the initial state of a clamped train depends on it, and soft targets have a
        distribution of their own.
        """
        raise NotImplementedError

    def target(self, y: Tensor, n_steps: int, window: Window) -> Tensor:
        """Return ``y`` ``[B]`` in the shape that :meth:`distribution` scores; as it is by default."""
        return y

    def weight(self, n_steps: int, window: Window) -> float:
        """Return the factor of the log-probability, so that windows add up to the whole sequence."""
        return window.fraction

    def log_prob(self, readout: Tensor, y: Tensor, window: Window | None = None) -> Tensor:
        """Return the weighted log-likelihood of each example, ``[*S, B]``: minus its nll."""
        window = window or Window()
        n_steps = readout.shape[-2]
        target = self._scored(y, readout, window)
        return self.weight(n_steps, window) * self.distribution(readout, y, window).log_prob(target)

    def observe(self, name: str, readout: Tensor, y: Tensor | None, window: Window | None = None) -> Tensor:
        """Make the sample site ``name``, observed where ``y`` is given; call it inside the data plate."""
        window = window or Window()
        n_steps = readout.shape[-2]
        obs = None if y is None else self._scored(y, readout, window)
        weight = self.weight(n_steps, window)
        with poutine.scale(scale=weight):
            site = self.distribution(readout, y, window)
            mark: Any = {"is_likelihood": True, "weight": weight}
            return pyro.sample(name, site, obs=obs, infer=mark)

    def _scored(self, y: Tensor, readout: Tensor, window: Window) -> Tensor:
        # A real target takes the read-out's precision: torch scores in the target's otherwise.
        target = self.target(y, readout.shape[-2], window)
        return target.to(readout.dtype) if target.is_floating_point() else target

    def predict(self, readout: Tensor, window: Window | None = None) -> Tensor:
        """Return class probabilities ``[*S, B, C]``, or predicted means ``[*S, B]`` of a regression."""
        raise NotImplementedError


class Classification(Likelihood):
    """A likelihood of class labels 0 .. C-1.

    Where :attr:`soft_targets` is true, a floating ``y`` ``[B, C]`` holds class probabilities: its score is
    the cross-entropy, the mean of the labels' scores under those probabilities.
    """

    kind = "classification"
    n_classes: int


class Regression(Likelihood):
    """A likelihood of a real target with Gaussian noise."""

    kind = "regression"

    @property
    def noise_scale(self) -> Tensor:
        """Standard deviation of the noise, a scalar in the units of the target."""
        raise NotImplementedError


def two_classes(logit: Tensor) -> Tensor:
    """Return ``[..., 2]`` probabilities from the logit of class 1, accurate at both ends."""
    return torch.stack((torch.sigmoid(-logit), torch.sigmoid(logit)), dim=-1)


def check_classes(n_classes: int) -> int:
    """Return ``n_classes`` if it is at least 2."""
    if n_classes < 2:
        raise ModelError(f"a classification needs at least 2 classes, not {n_classes}")
    return n_classes


def check_two(n_classes: int) -> int:
    """Return ``n_classes`` if it is 2."""
    if n_classes != 2:
        raise ModelError(
            f"a Bernoulli likelihood has 2 classes, the data have {n_classes}; use a categorical one"
        )
    return n_classes


class _Gained(Classification):
    """Read-outs are logits, up to a gain that may be learned."""

    gain: Tensor

    def __init__(self, learn_gain: bool) -> None:
        super().__init__()
        self.learn_gain = learn_gain
        if learn_gain:
            self.gain = PyroParam(torch.tensor(1.0), constraints.positive)  # type: ignore[assignment]

    def logits(self, readout: Tensor) -> Tensor:
        """Return the read-outs times the gain."""
        return readout * self.gain if self.learn_gain else readout


class _Categorical(_Gained):
    """A read-out unit per class, and a softmax over their logits."""

    soft_targets = True

    def __init__(self, n_classes: int, learn_gain: bool = False) -> None:
        super().__init__(learn_gain)
        self.n_classes = self.n_outputs = check_classes(n_classes)

    def _logits(self, readout: Tensor) -> Tensor:
        return self.logits(readout.mean(-2))

    def distribution(self, readout: Tensor, y: Tensor | None, window: Window) -> TorchDistribution:
        """Return the label's distribution, batch shape ``[*S, B]``."""
        logits = self._logits(readout)
        return soft_label(logits) if is_soft(y) else dist.Categorical(logits=logits)

    def predict(self, readout: Tensor, window: Window | None = None) -> Tensor:
        """Return class probabilities ``[*S, B, C]``, from the time-averaged read-out."""
        return torch.softmax(self._logits(readout), dim=-1)


class _Bernoulli(_Gained):
    """One read-out unit, the logit of class 1."""

    soft_targets = True

    def __init__(self, n_classes: int = 2, learn_gain: bool = False) -> None:
        super().__init__(learn_gain)
        self.n_classes, self.n_outputs = check_two(n_classes), 1

    def distribution(self, readout: Tensor, y: Tensor | None, window: Window) -> TorchDistribution:
        """Return the label's distribution, batch shape ``[*S, B]``."""
        logit = self.logits(readout.mean(-2))
        return soft_label(logit) if is_soft(y) else dist.Bernoulli(logits=logit.squeeze(-1))

    def target(self, y: Tensor, n_steps: int, window: Window) -> Tensor:
        """Return the labels as floats."""
        return y if y.is_floating_point() else y.to(torch.get_default_dtype())

    def predict(self, readout: Tensor, window: Window | None = None) -> Tensor:
        """Return class probabilities ``[*S, B, 2]``, from the time-averaged read-out."""
        return two_classes(self.logits(readout.mean(-2).squeeze(-1)))


class _Steps(Classification):
    """The label is scored at each counted step; an example's nll is the mean over those T' steps.

    One label seen T' times is one observation, hence the mean: in probabilities, the geometric mean
    over steps.  It is a tempered likelihood without normalisation, and so is its ``log_likelihood``.
    """

    def weight(self, n_steps: int, window: Window) -> float:
        """Return ``fraction / T'``: the mean over the whole sequence's counted steps."""
        return window.fraction / n_steps

    def target(self, y: Tensor, n_steps: int, window: Window) -> Tensor:
        """Return each label repeated over the steps, ``[B, T]``, or ``[B, T, C]`` of soft targets."""
        soft = is_soft(y)  # labels as floats, of several groups, would look like it
        y = super().target(y, n_steps, window)
        if soft:
            return y.unsqueeze(-2).expand(*y.shape[:-1], n_steps, y.shape[-1])
        return y.unsqueeze(-1).expand(*y.shape, n_steps)


class CategoricalRate(_Categorical):
    """``y ~ Categorical(softmax(mean_t r_t))``: one term per example.

    Args:
        n_classes: number of classes C, at least 2; the read-out has C units.
        learn_gain: learn the scale of the logits with the posterior, as a model's other parameters; it starts
            at 1.  A fixed one makes every network of a posterior too sure where it is too large.

    Example:
        >>> likelihood = CategoricalRate(3)
        >>> readout = torch.zeros(4, 10, 3)  # [B, T, C], the counted steps
        >>> likelihood.predict(readout)[0].tolist()
        [0.3333333432674408, 0.3333333432674408, 0.3333333432674408]
        >>> likelihood.log_prob(readout, torch.tensor([0, 1, 2, 0])).shape
        torch.Size([4])
    """


class BernoulliRate(_Bernoulli):
    """``y ~ Bernoulli(sigmoid(mean_t r_t))``: two classes on a single read-out unit.

    Args:
        n_classes: 2.
        learn_gain: learn the scale of the logits with the posterior, as a model's other parameters; it starts
            at 1.
    """


class CategoricalSteps(_Steps, _Categorical):
    """``y ~ Categorical(softmax(r_t))`` at every step: the paper's loss (arXiv 2012.08300).

    Args:
        n_classes: number of classes C, at least 2; the read-out has C units.
        learn_gain: learn the scale of the logits with the posterior, as a model's other parameters; it starts
            at 1.
    """

    def distribution(self, readout: Tensor, y: Tensor | None, window: Window) -> TorchDistribution:
        """Return the distribution of the label at each step, event shape ``[T]``."""
        logits = self.logits(readout)
        site = soft_label(logits) if is_soft(y) else dist.Categorical(logits=logits)
        return site.to_event(1)


class BernoulliSteps(_Steps, _Bernoulli):
    """``y ~ Bernoulli(sigmoid(r_t))`` at every step: the paper's loss for two moons.

    Args:
        n_classes: 2.
        learn_gain: learn the scale of the logits with the posterior, as a model's other parameters; it starts
            at 1.
    """

    def distribution(self, readout: Tensor, y: Tensor | None, window: Window) -> TorchDistribution:
        """Return the distribution of the label at each step, event shape ``[T]``."""
        logits = self.logits(readout)
        site = soft_label(logits) if is_soft(y) else dist.Bernoulli(logits=logits.squeeze(-1))
        return site.to_event(1)


def rate(n_classes: int, learn_gain: bool = False) -> Classification:
    """Return the likelihood of a label on the time-averaged read-out, Bernoulli for two classes.

    Args:
        n_classes: number of classes C, at least 2.
        learn_gain: learn the scale of the logits with the posterior; starts at 1.

    Example:
        >>> type(rate(2)).__name__, type(rate(10)).__name__
        ('BernoulliRate', 'CategoricalRate')
    """
    if n_classes == 2:
        return BernoulliRate(learn_gain=learn_gain)
    return CategoricalRate(n_classes, learn_gain)


def steps(n_classes: int, learn_gain: bool = False) -> Classification:
    """Return the likelihood of a label at every counted step, Bernoulli for two classes.

    Args:
        n_classes: number of classes C, at least 2.
        learn_gain: learn the scale of the logits with the posterior; starts at 1.
    """
    if n_classes == 2:
        return BernoulliSteps(learn_gain=learn_gain)
    return CategoricalSteps(n_classes, learn_gain)


class CategoricalProbit(_Categorical):
    r"""One probit unit per class, given that exactly one of them is on.

    Unit k is on with probability :math:`\Phi(z_k)`, ``z`` the time-averaged read-out in units of its noise.
    Independent units of which just one is on make the label k with probability proportional to
    :math:`\Phi(z_k)/\Phi(-z_k)`: a softmax of their log-odds.  It is how a network of sign units with a
    unit a class (expectation backpropagation, arXiv 1503.03562) gets probabilities; two classes have two
    units as well.

    The log-odds grow as :math:`z^2/2`, so read-outs in the tens are very confident: check the calibration.

    Args:
        n_classes: number of classes C, at least 2; the read-out has C units.
        learn_gain: learn the scale of the logits with the posterior, as a model's other parameters; it starts
            at 1.
    """

    def _logits(self, readout: Tensor) -> Tensor:
        return log_odds(super()._logits(readout))

    def predict(self, readout: Tensor, window: Window | None = None) -> Tensor:
        """Return class probabilities ``[*S, B, C]``, bounded below by the type's smallest normal number.

        A confident mistake therefore costs at most 708 nats (in double); :meth:`log_prob` has no such bound.
        """
        p = super().predict(readout, window)
        return p.clamp_min(torch.finfo(p.dtype).tiny)


class Gaussian(Regression):
    """``y ~ Normal(mean_t r_t, sigma)`` with a learned noise scale ``sigma``.

    Each local read-out learns its own scale, so that an earlier, less accurate layer does not inflate the
    noise of the last one.

    Args:
        noise: initial standard deviation, in units of the target.
    """

    scale: Tensor

    def __init__(self, noise: float = 0.3) -> None:
        super().__init__()
        if not noise > 0:
            raise ModelError(f"likelihood noise must be positive, not {noise}")
        self.n_outputs = 1
        self.scale = PyroParam(torch.tensor(float(noise)), constraints.positive)  # type: ignore[assignment]

    @property
    def noise_scale(self) -> Tensor:
        """The learned standard deviation."""
        return self.scale

    def distribution(self, readout: Tensor, y: Tensor | None, window: Window) -> TorchDistribution:
        """Return the target's distribution, batch shape ``[*S, B]``."""
        return dist.Normal(self.predict(readout), self.scale)

    def predict(self, readout: Tensor, window: Window | None = None) -> Tensor:
        """Return predicted means ``[*S, B]``."""
        return readout.mean(-2).squeeze(-1)


class SpikeTrainDistribution(TorchDistribution):
    r"""Spike trains of output neurons that fire with probability :math:`\sigma(u_t/\Delta)`.

    :math:`u_t = I_t - \rho R_t` where R is the refractory trace of the train itself, so that
    :math:`\log p(s)=\sum_{t,i}\log\mathrm{Bern}(s_{i,t}\mid\sigma(u_{i,t}/\Delta))`
    (BiSNN, arXiv 2012.08300).  Scoring clamps the neurons and takes all steps at once; sampling runs
    free, one step after the other.

    Args:
        current: ``[*S, B, T, O]``.
        decay: per-step factor of the refractory trace.
        reset: weight of the refractory trace.
        delta: width of the escape noise.
        initial: (R, s), each ``[*S, B, O]``, of the step before the first; ``None`` means at rest.
    """

    support = constraints.independent(constraints.boolean, 2)
    arg_constraints = {}  # noqa: RUF012 (torch's own interface)

    def __init__(
        self,
        current: Tensor,
        decay: float,
        reset: float,
        delta: float,
        initial: ResetState | None = None,
        validate_args: bool | None = None,
    ) -> None:
        self.current, self.initial = current, initial
        self.decay, self.reset, self.delta = decay, reset, delta
        super().__init__(current.shape[:-2], current.shape[-2:], validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> SpikeTrainDistribution:
        """Return the same distribution with its batch shape expanded."""
        new = self._get_checked_instance(SpikeTrainDistribution, _instance)
        new.decay, new.reset, new.delta = self.decay, self.reset, self.delta
        shape = torch.Size(batch_shape)
        new.current = self.current.expand(shape + self.event_shape)
        n_units = self.event_shape[-1:]
        new.initial = self.initial and ResetState(*(x.expand(shape + n_units) for x in self.initial))
        super(SpikeTrainDistribution, new).__init__(shape, self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def potential(self, trains: Tensor) -> Tensor:
        """Return potentials ``[*S, B, T, O]`` of neurons clamped to ``trains`` ``[..., T, O]``."""
        r = last = None
        if self.initial is not None:
            batch = torch.broadcast_shapes(trains.shape[:-2], self.initial.r.shape[:-1])
            trains = trains.expand(*batch, -1, -1)
            r, last = (x.expand(*batch, -1) for x in self.initial)
        # [..., B, T, O] -> [..., T, B, O] and back: the kernels keep time before the batch.
        trace, _, _ = refractory_trace(trains.to(self.current.dtype).transpose(-3, -2), self.decay, r, last)
        return self.current - self.reset * trace.transpose(-3, -2)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-probability of trains, summed over steps and neurons."""
        if self._validate_args:
            self._validate_sample(value)
        logits = self.potential(value) / self.delta
        target = value.to(logits.dtype).expand_as(logits)
        return -binary_cross_entropy_with_logits(logits, target, reduction="none").sum((-2, -1))

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008 (torch's own signature)
        """Draw free-running trains."""
        with torch.no_grad():
            current = self.current.expand(self._extended_shape(sample_shape)).transpose(-3, -2)
            noise = self.delta * torch.logit(torch.rand_like(current), eps=1e-7)
            state = self.initial
            if state is not None:
                shape = (*current.shape[:-3], *current.shape[-2:])
                state = ResetState(*(x.expand(shape) for x in state))
            spikes, _, _ = threshold_scan(
                current, self.decay, Sigmoid(self.delta), reset=self.reset, noise=noise, state=state
            )
            return spikes.transpose(-3, -2)


class SpikeTrainBernoulli(Classification):
    r"""Output neurons clamped to target trains: the GLM's log-likelihood, summed over steps and neurons.

    For labels, class k's train makes neuron k fire every ``period`` steps and keeps the others silent;
    a draw's class probabilities are then Bayes' rule over the C trains with equal prior odds.  Trains
    can also be given directly (``y`` ``[B, T, O]``), for which ``predict`` has no meaning of its own.

    Args:
        n_classes: number of classes C, the output neurons.
        neuron: the output neurons take their refractory time constant and reset from it; without a neuron,
            or if it has none, they are those of :class:`ThresholdNeuron`.
        delta: width of the escape noise, in units of the potential.
        period: steps between two spikes of the labelled neuron.

    Raises:
        ModelError: if ``delta`` is not positive, or ``period`` is below 1.
    """

    needs_trained_readout = True

    def __init__(
        self,
        n_classes: int,
        *,
        neuron: Neuron | None = None,
        delta: float = 1.0,
        period: int = 2,
    ) -> None:
        super().__init__()
        if delta <= 0 or period < 1:
            raise ModelError(f"spike-train needs delta > 0 and period >= 1, not {delta} and {period}")
        self.n_classes = self.n_outputs = check_classes(n_classes)
        self.constants = getattr(neuron, "constants", None) or TimeConstants()
        self.reset = getattr(neuron, "reset", 1.0)
        self.delta, self.period = delta, period

    def trains(self, y: Tensor, first: int, n_steps: int) -> Tensor:
        """Return target trains ``[B, n_steps, O]`` from step ``first`` on, for labels or whole trains."""
        if y.dim() == 3:
            return y[:, first : first + n_steps]
        if is_soft(y):
            raise ModelError(
                "a spike-train likelihood clamps its outputs to one class's train: it takes labels [N] or "
                "trains [N, T, O], no class probabilities"
            )
        steps = torch.arange(first, first + n_steps, device=y.device)
        fires = (steps % self.period == 0).to(torch.get_default_dtype())
        one_hot = torch.nn.functional.one_hot(y.long(), self.n_classes).to(fires.dtype)
        return fires[:, None] * one_hot[:, None, :]

    def distribution(self, readout: Tensor, y: Tensor | None, window: Window) -> TorchDistribution:
        """Return the distribution of the trains, event shape ``[T, O]``."""
        initial = None if y is None or not window.first else self._initial(y, window.first, readout.dtype)
        decay = self.constants.decays[2]
        return SpikeTrainDistribution(readout, decay, self.reset, self.delta, initial)

    def _initial(self, y: Tensor, first: int, dtype: torch.dtype) -> ResetState:
        past = self.trains(y, 0, first).to(dtype).transpose(0, 1)
        _, r, last = refractory_trace(past, self.constants.decays[2])
        return ResetState(r, last)

    def target(self, y: Tensor, n_steps: int, window: Window) -> Tensor:
        """Return the target trains of the counted steps, ``[B, T, O]``."""
        return self.trains(y, window.first, n_steps)

    def weight(self, n_steps: int, window: Window) -> float:
        """Return 1: a window's own steps are its share of the sum."""
        return 1.0

    def predict(self, readout: Tensor, window: Window | None = None) -> Tensor:
        """Return class probabilities ``[*S, B, C]``."""
        window = window or Window()
        n_steps, shape = readout.shape[-2], readout.shape[:-2]
        scores = []
        for k in range(self.n_classes):
            y = torch.full(shape[-1:], k, device=readout.device)
            site = self.distribution(readout, y, window)
            scores.append(site.log_prob(self.target(y, n_steps, window).expand(*shape, -1, -1)))
        return torch.softmax(torch.stack(scores, dim=-1), dim=-1)
