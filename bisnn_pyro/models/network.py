"""The spiking GLM as a Pyro model."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

import pyro
import torch
from pyro import poutine
from pyro.nn import PyroModule
from pyro.nn.module import PyroModuleList
from torch import Tensor

from bisnn_pyro.errors import ModelError
from bisnn_pyro.models.kernels import FilterState
from bisnn_pyro.models.layers import (
    DenseSynapses,
    beside,
    check_sizes,
    filters_after,
    is_constant,
    matmul_over_time,
    random_readout,
)
from bisnn_pyro.models.likelihoods import Likelihood, Window
from bisnn_pyro.models.neurons import Neuron, NeuronState, ThresholdNeuron
from bisnn_pyro.models.priors import BinaryPrior, Prior

Credit = Literal["local", "end-to-end"]
Readout = Literal["random", "trained"]


class NetworkState(NamedTuple):
    """State of the whole network after a step; carried from one window to the next."""

    layers: tuple[NeuronState, ...]
    readout: FilterState | None

    def detach(self) -> NetworkState:
        """Return the same state, cut off from the graph."""
        readout = self.readout and FilterState(*(x.detach() for x in self.readout))
        return NetworkState(tuple(layer.detach() for layer in self.layers), readout)


class Simulation(NamedTuple):
    """What a run of the network leaves behind.

    Attributes:
        readouts: read-outs ``[*S, T, B, C]``, one per scored layer, the last one being the prediction's.
        state: state after the last step, or ``None`` if it was not to be carried on.
        spikes: spikes ``[*S, T, B, O]`` of each hidden layer.
        potentials: membrane potentials, likewise; empty unless they were recorded.
    """

    readouts: tuple[Tensor, ...]
    state: NetworkState | None
    spikes: tuple[Tensor, ...]
    potentials: tuple[Tensor, ...]


class SpikingGLM(PyroModule):
    """A feed-forward spiking network whose synapses are latent variables (BiSNN, arXiv 2012.08300).

    Sample sites: ``layers.<l>.weight`` (and ``readout.weight``) for the synapses, ``y`` for the target,
    inside the plate ``data``.  Whole sequences are simulated at once: traces are a linear filter, each
    layer is one matrix product for all steps, and only the reset runs step by step.

    Credit.  ``local``: every hidden layer has a fixed random read-out with a loss of its own, and no
    gradient crosses a layer or a step (DECOLLE); earlier layers' losses enter as ``pyro.factor`` sites,
    absent from prediction.  ``end-to-end``: one loss on the last read-out, its gradient flowing back
    through layers and synaptic traces; the reset stays detached.

    Args:
        n_inputs: input channels I.
        hidden: sizes of the hidden layers.
        likelihood: of the target given a read-out; copied, with parameters of its own, for each read-out.
        prior: over all synapses; default a fair :class:`BinaryPrior`.
        neuron: of all hidden layers; default :class:`ThresholdNeuron`.
        credit: ``local`` or ``end-to-end``.
        readout: ``random`` (fixed) or ``trained`` (a last layer of synapses on the filtered spikes).
        gain: scale of the potential, see :class:`DenseSynapses`; ``TimeConstants.dc_gain`` restores the
            paper's potential, whose units mostly stand far outside the surrogate's width.
        readout_gain: scale of the read-outs.
        bias: learn a bias per hidden unit.
        normalise: learn a per-neuron normalisation, see :class:`Normalisation`.
        burn_in: number of first steps that carry no loss and no vote.
        readout_seed: seed of the fixed read-outs.

    Raises:
        ModelError: if the parts do not fit together.
    """

    layers: PyroModuleList
    readout: DenseSynapses | None
    likelihoods: PyroModuleList
    reference: Tensor | None

    def __init__(
        self,
        n_inputs: int,
        hidden: Sequence[int],
        likelihood: Likelihood,
        *,
        prior: Prior | None = None,
        neuron: Neuron | None = None,
        credit: Credit = "local",
        readout: Readout = "random",
        gain: float = 1.0,
        readout_gain: float = 1.0,
        bias: bool = False,
        normalise: bool = False,
        burn_in: int = 0,
        readout_seed: int = 0,
    ) -> None:
        super().__init__()
        sizes = check_sizes((n_inputs, *check_sizes(hidden)))
        if credit not in ("local", "end-to-end") or readout not in ("random", "trained"):
            raise ModelError(
                f"credit must be 'local' or 'end-to-end', not {credit!r}; "
                f"readout 'random' or 'trained', not {readout!r}"
            )
        if likelihood.needs_trained_readout and readout != "trained":
            raise ModelError(
                f"{type(likelihood).__name__} clamps its output neurons: set readout = 'trained'"
            )
        if burn_in < 0:
            raise ModelError(f"burn_in must be >= 0, not {burn_in}")
        prior = prior or BinaryPrior()
        self.neuron = neuron or ThresholdNeuron()
        self.credit, self.burn_in, self.normalise = credit, burn_in, normalise
        self.readout_gain = readout_gain
        self.dataset_size: int | None = None
        self.layers = PyroModuleList(
            [
                DenseSynapses(i, o, prior, gain=gain, bias=bias, normalise=normalise)
                for i, o in pairwise(sizes)
            ]
        )
        self.readout = None
        if readout == "trained":
            self.readout = DenseSynapses(sizes[-1], likelihood.n_outputs, prior, gain=readout_gain)
        scored = len(hidden) if credit == "local" else 0
        n_random = scored if readout == "trained" else max(scored, 1)
        for k, n_units in enumerate(sizes[len(sizes) - n_random :] if n_random else ()):
            matrix = random_readout(likelihood.n_outputs, n_units, readout_seed + k) * readout_gain
            self.register_buffer(f"random_readout_{k}", matrix)
        self._n_random = n_random
        n_readouts = n_random + (readout == "trained")
        self.likelihoods = PyroModuleList([copy.deepcopy(likelihood) for _ in range(n_readouts)])
        self.register_buffer("reference", None, persistent=False)

    # -- the pure part: weights and spikes in, read-outs out --------------------------------------

    @property
    def synapses(self) -> list[DenseSynapses]:
        """The hidden layers' synapses."""
        return list(self.layers)  # type: ignore[arg-type]

    @property
    def weight_sites(self) -> tuple[str, ...]:
        """Names of the sample sites of the synapses."""
        names = tuple(f"layers.{k}.weight" for k in range(len(self.layers)))
        return names if self.readout is None else (*names, "readout.weight")

    def local_likelihood(self, k: int) -> Likelihood:
        """Return the likelihood of the k-th read-out; -1 is the last."""
        return list(self.likelihoods)[k]  # type: ignore[return-value]

    @property
    def likelihood(self) -> Likelihood:
        """The likelihood of the last read-out."""
        return self.local_likelihood(-1)

    def random_readout(self, k: int) -> Tensor:
        """Return the k-th fixed read-out ``[C, O]``; -1 is the last."""
        return getattr(self, f"random_readout_{k % self._n_random}")

    def set_reference(self, spikes: Tensor | None) -> None:
        """Set the reference batch ``[T, R, I]`` whose statistics normalise predictions."""
        if (
            spikes is not None
            and spikes.shape[0] > 1
            and torch.equal(spikes[1:], spikes[:1].expand_as(spikes[1:]))
        ):
            spikes = spikes[:1].expand_as(spikes)  # a constant current, however it was stored
        self.reference = spikes

    def simulate(
        self,
        weights: Mapping[str, Tensor],
        spikes: Tensor,
        state: NetworkState | None = None,
        *,
        uncounted: int = 0,
        record: bool = True,
        carry: bool = True,
    ) -> Simulation:
        """Run the network for given weights; no Pyro in here.

        Args:
            weights: ``[*S, O, I]`` for each name in :attr:`weight_sites`.
            spikes: inputs ``[T, B, I]``, shared by all draws.
            state: state to go on from; ``None`` means at rest.
            uncounted: first steps on which no loss will depend; under local credit they are left out of
                the backward pass.
            record: keep the potentials, which nothing but a report needs.
            carry: return the state.  A whole sequence, whose state nobody needs, lets a layer filter its
                sums instead of its inputs where those are more.

        Returns:
            Read-outs, spikes and potentials; with ``normalise`` in evaluation those of the examples without
            the reference batch, which the state alone includes.
        """
        self.check_inputs(spikes)
        n_reference = 0
        if self.normalise and not self.training:
            assert self.reference is not None
            n_reference = self.reference.shape[-2]
            spikes = beside(self.reference.to(spikes), spikes)
        local = self.credit == "local"
        if not local or self.normalise:
            uncounted = 0  # later losses reach these steps, through traces or a layer's statistics
        carry = carry or state is not None
        x, states, fired, potentials, readouts = spikes, [], [], [], []
        for k in range(len(self.layers)):
            before = state.layers[k] if state is not None else None
            current, synaptic = self._current(
                k, x, weights, before and before.synaptic, n_reference, uncounted, carry
            )
            if record:
                s, u, reset = self.neuron.fire(current, before and before.reset)
                potentials.append(u)
            else:
                s, reset = self.neuron.spikes(current, before and before.reset)
            if carry and synaptic is not None:
                states.append(NeuronState(synaptic, reset))
            fired.append(s)
            slot = k - (len(self.layers) - self._n_random)
            if slot >= 0:
                readouts.append(matmul_over_time(s, self.random_readout(slot)))
            x = s.detach() if local else s
        final = None
        if self.readout is not None:
            trace, final = self.neuron.trace(x, state.readout if state is not None else None)
            readouts.append(self.readout.current(trace, weights["readout.weight"]))
        if n_reference:
            readouts, fired, potentials = (
                [x[..., n_reference:, :] for x in part] for part in (readouts, fired, potentials)
            )
        after = NetworkState(tuple(states), final) if carry else None
        return Simulation(tuple(readouts), after, tuple(fired), tuple(potentials))

    def _current(
        self,
        k: int,
        x: Tensor,
        weights: Mapping[str, Tensor],
        state: FilterState | None,
        n_reference: int,
        uncounted: int,
        carry: bool,
    ) -> tuple[Tensor, FilterState | None]:
        """Return the currents of layer ``k`` and its synapses' state, the cheapest way that is right."""
        layer, weight, linear = self.synapses[k], weights[f"layers.{k}.weight"], self.neuron.linear
        if k == 0 and state is None and linear and is_constant(x):
            response, end = self.neuron.step_response(x.shape[0], x)
            current = layer.constant_current(x[0], response, weight, n_reference)
            return current, FilterState(*(x[0] * end_of_one for end_of_one in end))
        if not carry and linear and filters_after(x, weight):
            sums, _ = self.neuron.trace(matmul_over_time(x, weight * layer.scale), None)
            return layer.finished(sums, n_reference), None
        trace, end = self.neuron.trace(x, state)
        return layer.current(trace, weight, n_reference, uncounted=uncounted), end

    def check_inputs(self, spikes: Tensor) -> None:
        """Refuse inputs that the network cannot run on.

        Raises:
            ModelError: if ``spikes`` are not ``[T, B, I]``, or a normalised network in evaluation has no
                reference batch of T steps.
        """
        if spikes.dim() != 3 or spikes.shape[-1] != self.synapses[0].fan_in:
            raise ModelError(
                f"input spikes have shape {tuple(spikes.shape)}; expected [T, B, I] with "
                f"I = {self.synapses[0].fan_in}"
            )
        if not self.normalise or self.training:
            return
        if self.reference is None:
            raise ModelError(
                "normalise = true needs a reference batch to predict: call model.set_reference(spikes) "
                "with encoded training inputs [T, R, I]"
            )
        if self.reference.shape[0] != spikes.shape[0]:
            raise ModelError(
                f"the reference batch has {self.reference.shape[0]} steps, the input {spikes.shape[0]}"
            )

    # -- the Pyro model ---------------------------------------------------------------------------

    def draw_weights(self) -> dict[str, Tensor]:
        """Sample all synapses, ``[*S, O, I]``; call it inside the model."""
        modules = [*self.layers, *([] if self.readout is None else [self.readout])]
        # Under a particle plate weights arrive as [S, 1, O, I]: the 1 is the data plate's dimension.
        drawn = [module.weight for module in modules]
        return {
            name: w if w.dim() == 2 else w.squeeze(-3)
            for name, w in zip(self.weight_sites, drawn, strict=True)
        }

    def forward(
        self,
        spikes: Tensor,
        y: Tensor | None = None,
        *,
        state: NetworkState | None = None,
        window: Window | None = None,
    ) -> Simulation:
        """Sample the synapses, run the network, and score or draw the target.

        Args:
            spikes: inputs ``[T, B, I]``.
            y: targets of the B examples; ``None`` draws them.
            state: state to go on from.
            window: which steps these are; by default the whole sequence after ``burn_in``.
        """
        window = window or Window(burn_in=self.burn_in)
        if spikes.shape[0] <= window.burn_in:
            raise ModelError(
                f"{spikes.shape[0]} steps leave nothing to score after burn_in = {window.burn_in}"
            )
        whole = state is None and window.fraction == 1
        simulation = self.simulate(
            self.draw_weights(), spikes, state, uncounted=window.burn_in, record=False, carry=not whole
        )
        n_examples = spikes.shape[-2]
        scale = 1.0 if self.dataset_size is None else self.dataset_size / n_examples
        *earlier, last = (self.counted(r, window) for r in simulation.readouts)
        with pyro.plate("data", n_examples, dim=-1), poutine.scale(scale=scale):
            if y is not None:
                for k, readout in enumerate(earlier):
                    pyro.factor(f"local_{k}", self.local_likelihood(k).log_prob(readout, y, window))
            self.likelihood.observe("y", last, y, window)
        return simulation

    @staticmethod
    def counted(readout: Tensor, window: Window) -> Tensor:
        """Drop the burn-in and move the batch first: ``[*S, T, B, O]`` to ``[*S, B, T', O]``."""
        return readout[..., window.burn_in :, :, :].transpose(-3, -2)

    @torch.no_grad()
    def activity(self, weights: Mapping[str, Tensor], spikes: Tensor) -> dict[str, float]:
        """Return each hidden layer's firing rate and share of potentials within the surrogate's width."""
        run = self.simulate(weights, spikes)
        report: dict[str, float] = {}
        for k, (s, u) in enumerate(zip(run.spikes, run.potentials, strict=True)):
            report[f"rate_{k}"] = float(s.mean())
            report[f"within_{k}"] = self.neuron.surrogate.share_within(u)
        return report
