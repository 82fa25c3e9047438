"""Neurons: how a layer's input becomes a trace, and its current a spike."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from bisnn_pyro.errors import ModelError
from bisnn_pyro.models.kernels import (
    FilterState,
    ResetState,
    TimeConstants,
    alpha_filter,
    threshold_scan,
)
from bisnn_pyro.models.recurrence import recurrent_scan
from bisnn_pyro.models.surrogate import Boxcar, Sigmoid, Surrogate


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
    """A neuron type: stateless; state goes in and out of both methods.

    A user's own neuron subclasses this; ``bisnn_pyro.testing.NeuronContract`` is its test suite.
    """

    surrogate: Surrogate
    """What stands for ``ds/du``."""
    stochastic: ClassVar[bool] = False
    """Whether spikes are drawn, so that a network is no function of its weights and input."""
    linear: ClassVar[bool] = False
    """Whether ``trace`` is one linear filter of time for every input, so that it commutes with a product."""
    recurrent: ClassVar[bool] = False
    """Whether the units may have lateral synapses, that is, whether there is :meth:`fire_recurrent`."""

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
        """Return :meth:`fire` without the potentials, which a neuron may then save itself."""
        spikes, _, end = self.fire(current, state)
        return spikes, end

    def fire_recurrent(
        self,
        current: Tensor,
        weight: Tensor,
        state: ResetState | None,
        heard: FilterState | None,
        *,
        through_time: bool,
    ) -> tuple[Tensor, Tensor, ResetState, FilterState]:
        """Return :meth:`fire` of units with lateral synapses, and the state of what they heard.

        A neuron that has this says so by ``recurrent``; see
        :func:`bisnn_pyro.models.recurrence.recurrent_scan` for what it must do.

        Args:
            current: from outside the layer, ``[*S, T, B, O]``.
            weight: lateral weights ``[*S, O, O]``, already scaled.
            state: of the reset.
            heard: synaptic state of the layer's own spikes.
            through_time: let the gradient run back through the traces of the spikes.
        """
        raise NotImplementedError(f"{type(self).__name__} has no recurrent form")


class SpikeResponseNeuron(Neuron):
    """What neurons with synaptic traces and a reset share: ``s = 1[u + noise >= 0]``.

    A subclass is a dataclass with the fields below, in an order of its own, and may add noise.
    """

    linear: ClassVar[bool] = True
    recurrent: ClassVar[bool] = True
    constants: TimeConstants
    """The three time constants."""
    reset: float
    """Weight of the refractory trace in the potential."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.reset) and self.reset >= 0):
            raise ModelError(f"neuron reset must be a number >= 0, not {self.reset}")

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
        weight: Tensor,
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
        constants: the three time constants.
        surrogate: ``ds/du``.
        reset: weight of the refractory trace in the potential.
    """

    constants: TimeConstants = field(default_factory=TimeConstants)
    surrogate: Surrogate = field(default_factory=Boxcar)
    reset: float = 1.0

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
    differ in weights and in spikes.

    *Gradient.*  Straight-through on the firing probability: :math:`ds/du` is replaced by
    :math:`\sigma'(u/\Delta)/\Delta`, the derivative of the mean spike.  It is biased as soon as a later
    layer is not linear in the spikes; the sign of trouble is a training loss that does not follow the
    learning rate down.

    *Bound.*  With hidden stochastic spikes :math:`h`, the reported loss is
    :math:`E_{q(w)}E_{p(h|x,w)}[-\log p(y|h,w)]`.  By Jensen's inequality that is an upper bound on the
    negative log-likelihood :math:`E_{q(w)}[-\log E_{p(h|x,w)}p(y|h,w)]`; the two meet as
    :math:`\Delta\to 0`, where this unit becomes :class:`ThresholdNeuron`.

    Args:
        constants: the three time constants.
        delta: width :math:`\Delta` of the escape noise, in units of the potential, > 0.
        reset: weight of the refractory trace in the potential.
    """

    stochastic: ClassVar[bool] = True
    constants: TimeConstants = field(default_factory=TimeConstants)
    delta: float = 0.25
    reset: float = 1.0

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
        u = torch.rand_like(current)
        return self.delta * torch.logit(u, eps=torch.finfo(u.dtype).eps / 4)
