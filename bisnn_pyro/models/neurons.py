"""Neurons: how a layer's input becomes a trace, and its current a spike."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, Self

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from bisnn_pyro.distributions import Perturbed
from bisnn_pyro.errors import ModelError
from bisnn_pyro.models.dynamics import (
    FilterState,
    ResetState,
    TimeConstants,
    alpha_filter,
    recurrent_scan,
    threshold_scan,
)
from bisnn_pyro.models.surrogate import Boxcar, Sigmoid, SingleStep, Surrogate

_BOXCAR, _SINGLE_STEP = Boxcar(), SingleStep()


class NeuronState(NamedTuple):
    """Explicit state of a layer between two windows.

    Attributes:
        synaptic: P and Q of its inputs.
        reset: R and s of its units.
        lateral: P and Q of its own spikes, where it has recurrent synapses.
    """

    synaptic: FilterState
    reset: ResetState
    lateral: FilterState | None = None

    def detach(self) -> NeuronState:
        """Return the same state, cut off from the graph."""
        return NeuronState(
            FilterState(*(x.detach() for x in self.synaptic)),
            ResetState(*(x.detach() for x in self.reset)),
            self.lateral and FilterState(*(x.detach() for x in self.lateral)),
        )


class Neuron(ABC):
    """A neuron type, without state of its own: both methods take the state and return it.

    To make your own, subclass it and run ``bisnn_pyro.testing.NeuronContract`` as its test suite.
    """

    surrogate: Surrogate
    """Replaces the derivative ``ds/du``."""
    stochastic: ClassVar[bool] = False
    """Whether spikes are random, so that weights and input do not determine the output."""
    linear: ClassVar[bool] = False
    """Whether ``trace`` is one linear filter of time for every input, so that it commutes with a product."""
    recurrent: ClassVar[bool] = False
    """Whether the units may have lateral synapses, that is, whether there is :meth:`fire_recurrent`."""

    def uniform(self, current: Tensor) -> Tensor:
        """Return numbers uniform in [0, 1), one for each of the currents, from torch's global generator.

        All that is random in a neuron must come from here: evaluation puts another source in its place, see
        :meth:`drawing`.
        """
        return torch.rand_like(current)

    def drawing(self, uniform: Callable[[Tensor], Tensor]) -> Self:
        """Return the same neuron with another source of its random numbers."""
        other = copy.copy(self)
        other.__dict__["uniform"] = uniform
        return other

    def step_response(self, n_steps: int, like: Tensor) -> tuple[Tensor, FilterState]:
        """Return the trace ``[T]`` of a constant input of one, from rest, and its end state (scalars).

        A linear neuron's trace of any constant input ``x`` is ``x`` times this.
        """
        trace, state = self.trace(like.new_ones(n_steps, 1, 1), None)
        return trace.reshape(n_steps), FilterState(*(x.reshape(()) for x in state))

    @abstractmethod
    def trace(self, spikes: Tensor, state: FilterState | None) -> tuple[Tensor, FilterState]:
        """Turn input spikes ``[*S, T, B, I]`` into the traces that the weights act on, same shape."""

    @abstractmethod
    def fire(self, current: Tensor, state: ResetState | None) -> tuple[Tensor, Tensor, ResetState]:
        """Turn currents ``[*S, T, B, O]`` into spikes and potentials (same shape) and the end state."""

    def spikes(self, current: Tensor, state: ResetState | None) -> tuple[Tensor, ResetState]:
        """Return the result of :meth:`fire` without the potentials, which a neuron then need not keep."""
        spikes, _, end = self.fire(current, state)
        return spikes, end

    def fire_recurrent(
        self,
        current: Tensor,
        weight: Tensor | Perturbed,
        state: ResetState | None,
        heard: FilterState | None,
        *,
        through_time: bool,
    ) -> tuple[Tensor, Tensor, ResetState, FilterState]:
        """Return the result of :meth:`fire` with lateral synapses, and the state of their traces.

        A neuron with this method sets ``recurrent``; see
        :func:`bisnn_pyro.models.recurrent_scan` for what it must do.

        Args:
            current: from outside the layer, ``[*S, T, B, O]``.
            weight: lateral weights ``[*S, O, O]``, already scaled.
            state: of the reset.
            heard: synaptic state of the layer's own spikes.
            through_time: let the gradient run back through the traces of the spikes.
        """
        raise NotImplementedError(f"{type(self).__name__} has no recurrent form")


@dataclass(frozen=True)
class SpikeResponseNeuron(Neuron):
    """Base of the neurons with synaptic traces and a reset: ``s = 1[u + noise >= 0]``.

    A subclass is a frozen dataclass that adds a surrogate, and noise if it is stochastic.

    Args:
        tau_membrane: time constant of the membrane, in steps.
        tau_synapse: time constant of the synapses, in steps.
        tau_refractory: time constant of the reset, in steps.
        reset: weight of the refractory trace in the potential.

    Raises:
        ModelError: if a time constant is not positive, or ``reset`` is negative.
    """

    linear: ClassVar[bool] = True
    recurrent: ClassVar[bool] = True
    tau_membrane: float = 10.0
    tau_synapse: float = 6.0
    tau_refractory: float = 2.0
    reset: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.reset) and self.reset >= 0):
            raise ModelError(f"neuron reset must be a number >= 0, not {self.reset}")
        _ = self.constants  # which checks the time constants

    @cached_property
    def constants(self) -> TimeConstants:
        """The three time constants, and what follows from them."""
        return TimeConstants(self.tau_membrane, self.tau_synapse, self.tau_refractory)

    def _noise(self, current: Tensor) -> Tensor | None:
        """Return what is added to the potentials of these currents, same shape; ``None`` for nothing."""
        return None

    def trace(self, spikes: Tensor, state: FilterState | None) -> tuple[Tensor, FilterState]:
        """Return the synaptic traces, scaled to unit DC gain."""
        return alpha_filter(spikes, self.constants, state)

    def fire(self, current: Tensor, state: ResetState | None) -> tuple[Tensor, Tensor, ResetState]:
        """Return spikes, noise-free potentials and the end state."""
        return threshold_scan(
            current,
            self.constants.decays[2],
            self.surrogate,
            reset=self.reset,
            noise=self._noise(current),
            state=state,
        )

    def fire_recurrent(
        self,
        current: Tensor,
        weight: Tensor | Perturbed,
        state: ResetState | None,
        heard: FilterState | None,
        *,
        through_time: bool,
    ) -> tuple[Tensor, Tensor, ResetState, FilterState]:
        """Return spikes, noise-free potentials and both end states."""
        return recurrent_scan(
            current,
            weight,
            self.constants,
            self.surrogate,
            reset=self.reset,
            noise=self._noise(current),
            state=state,
            heard=heard,
            through_time=through_time,
        )


@dataclass(frozen=True)
class ThresholdNeuron(SpikeResponseNeuron):
    """Spike-response neuron with a hard threshold: ``s = 1[u >= 0]`` (BiSNN, arXiv 2012.08300).

    Deterministic given the weights and the input.  The gradient is the surrogate's; the reset carries
    none.

    Args:
        tau_membrane: time constant of the membrane, in steps.
        tau_synapse: time constant of the synapses, in steps.
        tau_refractory: time constant of the reset, in steps.
        reset: weight of the refractory trace in the potential.
        surrogate: replaces the derivative ``ds/du`` in the backward pass.

    Example:
        >>> import torch
        >>> neuron = ThresholdNeuron(tau_membrane=20.0, surrogate=Boxcar(width=1.0))
        >>> spikes, potentials, _ = neuron.fire(torch.full((5, 1, 1), 0.5), None)  # currents [T, B, O]
        >>> spikes.flatten().tolist()
        [1.0, 0.0, 0.0, 1.0, 0.0]
    """

    surrogate: Surrogate = _BOXCAR

    def spikes(self, current: Tensor, state: ResetState | None) -> tuple[Tensor, ResetState]:
        """Return spikes and the end state; a boxcar's backward pass then keeps a byte per potential."""
        decay = self.constants.decays[2]
        s, _, end = threshold_scan(
            current, decay, self.surrogate, reset=self.reset, state=state, record=False
        )
        return s, end


@dataclass(frozen=True)
class EscapeNeuron(SpikeResponseNeuron):
    r"""Spiking GLM unit: fires with probability :math:`\sigma(u_t/\Delta)` given the past.

    The draw is :math:`s=1[u+\Delta\ell\ge 0]` with standard logistic noise :math:`\ell`, independent
    over units, steps and examples, and **drawn afresh for each weight draw**: members of a committee
    differ in weights and in spikes.  In prediction it comes from :class:`PointNoise`, so that an example's
    spikes are the same in whichever batch it is.

    *Gradient.*  Straight-through on the firing probability: :math:`ds/du` is replaced by
    :math:`\sigma'(u/\Delta)/\Delta`, the derivative of the mean spike.  It is biased as soon as a later
    layer is not linear in the spikes; one notices it as a training loss that does not fall when the
    learning rate does.

    *Bound.*  With hidden stochastic spikes :math:`h`, the reported loss is
    :math:`E_{q(w)}E_{p(h|x,w)}[-\log p(y|h,w)]`.  By Jensen's inequality that is an upper bound on the
    negative log-likelihood :math:`E_{q(w)}[-\log E_{p(h|x,w)}p(y|h,w)]`; the two meet as
    :math:`\Delta\to 0`, where this unit becomes :class:`ThresholdNeuron`.

    Args:
        tau_membrane: time constant of the membrane, in steps.
        tau_synapse: time constant of the synapses, in steps.
        tau_refractory: time constant of the reset, in steps.
        reset: weight of the refractory trace in the potential.
        delta: width :math:`\Delta` of the escape noise, in units of the potential, > 0.
    """

    stochastic: ClassVar[bool] = True
    delta: float = 0.25

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (math.isfinite(self.delta) and self.delta > 0):
            raise ModelError(f"neuron delta must be a positive number, not {self.delta}")

    @property
    def surrogate(self) -> Surrogate:  # type: ignore[override]
        """Derivative of the firing probability."""
        return Sigmoid(self.delta)

    def _noise(self, current: Tensor) -> Tensor:
        """Return logistic noise of width delta, independent for each of the currents."""
        u = self.uniform(current)
        return self.delta * torch.logit(u, eps=torch.finfo(u.dtype).eps / 4)


class _Threshold(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, current: Tensor, threshold: float, surrogate: Surrogate) -> tuple[Tensor, Tensor]:
        potential = current - threshold
        ctx.save_for_backward(surrogate.remember(potential).reshape(current.shape))
        ctx.surrogate = surrogate
        ctx.mark_non_differentiable(potential)
        ctx.set_materialize_grads(False)
        return (potential >= 0).to(current.dtype), potential

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor | None, *_: Tensor | None) -> tuple[Tensor | None, ...]:
        (remembered,) = ctx.saved_tensors
        return None if grad is None else ctx.surrogate.backward(grad, remembered), None, None


@dataclass(frozen=True)
class SingleStepNeuron(Neuron):
    r"""Neuron without time: :math:`s = 1[I \ge u_{th}]` (S2NN, arXiv 2201.10879v1; S3NN in v2).

    It has no synaptic trace, no reset and no state: the trace of a spike is the spike.  It is meant for one
    step (a constant current, ``encoder.n_steps = 1``), where a network of it is one forward pass.  Several
    steps are independent presentations: those of a random encoding are averaged in the read-out, those of a
    constant current are identical and wasted.

    Potentials are reported relative to the threshold, ``u = I - threshold``, as other neurons' are.

    .. warning::
        A current of mean 0 and variance 1, as ``normalise`` gives, reaches a threshold of 1 in a sixth of
        the units; a much smaller current reaches it nowhere, and a silent layer passes nothing on.  One
        notices it as ``rate_k`` near 0 in :meth:`SpikingGLM.activity`: raise ``gain``, normalise, or lower
        the threshold.

    Args:
        threshold: :math:`u_{th}`; the paper's is 1.
        surrogate: ``ds/du``.

    Raises:
        ModelError: if the threshold is not a finite number.
    """

    linear: ClassVar[bool] = True
    threshold: float = 1.0
    surrogate: Surrogate = _SINGLE_STEP

    def __post_init__(self) -> None:
        if not math.isfinite(self.threshold):
            raise ModelError(f"neuron threshold must be a finite number, not {self.threshold}")

    def trace(self, spikes: Tensor, state: FilterState | None) -> tuple[Tensor, FilterState]:
        """Return the spikes themselves, and a state of zeros."""
        rest = _rest(spikes)
        return spikes, FilterState(rest, rest)

    def fire(self, current: Tensor, state: ResetState | None) -> tuple[Tensor, Tensor, ResetState]:
        """Return spikes, potentials relative to the threshold, and a state of zeros."""
        spikes, potential = _Threshold.apply(current, self.threshold, self.surrogate)
        rest = _rest(current)
        return spikes, potential, ResetState(rest, rest)


def _rest(x: Tensor) -> Tensor:
    """Return zeros ``[*S, B, I]`` for ``x`` ``[*S, T, B, I]``, in the memory of one."""
    return x.new_zeros(()).expand(*x.shape[:-3], *x.shape[-2:])


@dataclass(frozen=True)
class SignNeuron(Neuron):
    r"""Unit without time or state: :math:`s = \operatorname{sign}(I)`, 0 counted as +1.

    For :class:`SignNetwork`: its "spikes" are +1 or -1, those of other neurons 1 or 0.

    Args:
        surrogate: half of the derivative ``ds/du``; expectation backpropagation does not use it.
    """

    surrogate: Surrogate = _BOXCAR

    def trace(self, spikes: Tensor, state: FilterState | None) -> tuple[Tensor, FilterState]:
        """Return the inputs themselves, and a state of zeros."""
        return SingleStepNeuron(0.0, self.surrogate).trace(spikes, state)

    def fire(self, current: Tensor, state: ResetState | None) -> tuple[Tensor, Tensor, ResetState]:
        """Return signs, potentials and a state of zeros."""
        steps, potential, rest = SingleStepNeuron(0.0, self.surrogate).fire(current, state)
        return 2 * steps - 1, potential, rest
