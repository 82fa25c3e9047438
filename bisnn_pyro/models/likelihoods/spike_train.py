"""The spiking GLM's own likelihood: output neurons clamped to target spike trains."""

from __future__ import annotations

from typing import Any

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import constraints
from torch.nn.functional import binary_cross_entropy_with_logits

from bisnn_pyro.errors import ModelError
from bisnn_pyro.models.kernels import ResetState, TimeConstants, refractory_trace, threshold_scan
from bisnn_pyro.models.likelihoods.base import Classification, Window
from bisnn_pyro.models.likelihoods.classes import check_classes
from bisnn_pyro.models.surrogate import Sigmoid


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
        constants: refractory is used.
        delta: width of the escape noise, in units of the potential.
        reset: weight of the refractory trace.
        period: steps between two spikes of the labelled neuron.
    """

    needs_trained_readout = True

    def __init__(
        self,
        n_classes: int,
        *,
        constants: TimeConstants | None = None,
        delta: float = 1.0,
        reset: float = 1.0,
        period: int = 2,
    ) -> None:
        super().__init__()
        if delta <= 0 or period < 1:
            raise ModelError(f"spike-train needs delta > 0 and period >= 1, not {delta} and {period}")
        self.n_classes = self.n_outputs = check_classes(n_classes)
        self.constants = constants or TimeConstants()
        self.delta, self.reset, self.period = delta, reset, period

    def trains(self, y: Tensor, first: int, n_steps: int) -> Tensor:
        """Return target trains ``[B, n_steps, O]`` from step ``first`` on, for labels or whole trains."""
        if y.dim() == 3:
            return y[:, first : first + n_steps]
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
