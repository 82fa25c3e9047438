"""Networks as Pyro models: the spiking GLM, and a network of sign units."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Literal

import pyro
import torch
from pyro import poutine
from pyro.distributions import TorchDistribution
from pyro.nn import PyroModule, PyroParam
from pyro.nn.module import PyroModuleList
from torch import Tensor
from torch.distributions import constraints

from bisnn_pyro.distributions.local_sign import Perturbed
from bisnn_pyro.errors import ModelError
from bisnn_pyro.models.architecture import Hidden, build_layers
from bisnn_pyro.models.layers import (
    DenseSynapses,
    RecurrentSynapses,
    Synapses,
    Weight,
    joined,
    matmul_over_time,
    per_draw,
    random_readout,
)
from bisnn_pyro.models.likelihoods import Likelihood, Window
from bisnn_pyro.models.neurons import Neuron, NeuronState, SignNeuron, ThresholdNeuron
from bisnn_pyro.models.noise import PointNoise
from bisnn_pyro.models.normalisation import Moments
from bisnn_pyro.models.priors import BinaryPrior, Prior
from bisnn_pyro.models.simulation import (
    LayerRun,
    NetworkState,
    Simulation,
    SimulationPlan,
    check_reference,
    compact,
    moments_of,
)
from bisnn_pyro.models.surrogate import Boxcar, Surrogate

Credit = Literal["local", "end-to-end"]
Readout = Literal["random", "trained"]
_PLAN = SimulationPlan()
MAX_GAIN = 1e6
"""Gain beyond which potentials are nothing but sign."""


class SpikingGLM(PyroModule):
    """A spiking network whose synapses are latent variables (BiSNN, arXiv 2012.08300).

    Sample sites: ``layers.<l>.weight`` (``layers.<l>.recurrent``, ``readout.weight``) for the synapses, ``y``
    for the target, inside the plate ``data``.  Whole sequences are simulated at once: traces are a linear
    filter, each layer is one product for all steps, and only the reset and lateral synapses run step by
    step.  Layers are dense, with or without lateral synapses, or convolutional, with or without pooling.
    The next layer and the read-outs receive pooled spikes, and everything is flattened, ``[T, B, units]``,
    with the channels of maps last.

    Credit.  ``local``: every hidden layer has a fixed random read-out with its own loss, and no gradient
    crosses a layer or a step (DECOLLE); the losses of earlier layers enter as ``pyro.factor`` sites, which
    are absent from prediction.  ``end-to-end``: one loss on the last read-out, with a gradient through
    layers and synaptic traces, including those of lateral synapses; the reset stays detached.

    Args:
        n_inputs: input channels I.
        hidden: the hidden layers, each a number of units, a :class:`Dense` or a :class:`Conv`.
        likelihood: of the target given a read-out; each read-out gets its own copy, parameters included.
        prior: over all synapses; default a fair :class:`BinaryPrior`.
        neuron: of all hidden layers; default :class:`ThresholdNeuron`.
        credit: ``local`` or ``end-to-end``.
        readout: ``random`` (fixed) or ``trained`` (a last layer of synapses on the filtered spikes).
        image_shape: ``(C, H, W)`` of inputs that are flattened images, for convolutions.
        gain: scale of the potential, see :class:`DenseSynapses`; ``TimeConstants.dc_gain`` restores the
            paper's potential, which mostly lies far outside the surrogate's width.
        readout_gain: scale of the read-outs.
        bias: learn a bias per hidden unit.
        normalise: learn a per-neuron normalisation, see :class:`Normalisation`.
        burn_in: number of first steps that carry no loss and no vote.
        readout_seed: seed of the fixed read-outs.

    Raises:
        ModelError: if the parts do not fit together.

    Example:
        >>> from bisnn_pyro.models import CategoricalRate
        >>> model = SpikingGLM(4, [8, 8], CategoricalRate(3))
        >>> model.weight_shapes
        {'layers.0.weight': (8, 4), 'layers.1.weight': (8, 8)}
        >>> spikes = (torch.rand(20, 5, 4) < 0.3).float()  # inputs [T, B, I]
        >>> run = model(spikes, torch.tensor([0, 1, 2, 0, 1]))  # samples the synapses; inside Pyro, a model
        >>> run.readouts[-1].shape  # [T, B, C]
        torch.Size([20, 5, 3])
        >>> weights = {name: torch.ones(7, *shape) for name, shape in model.weight_shapes.items()}
        >>> model.simulate(weights, spikes).readouts[-1].shape  # seven networks at once, without Pyro
        torch.Size([7, 20, 5, 3])
    """

    layers: PyroModuleList
    readout: DenseSynapses | None
    likelihoods: PyroModuleList
    reference: Tensor | None

    def __init__(
        self,
        n_inputs: int,
        hidden: Hidden,
        likelihood: Likelihood,
        *,
        image_shape: Sequence[int] | None = None,
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
        if not (0 < gain <= MAX_GAIN and 0 <= readout_gain <= MAX_GAIN):
            raise ModelError(
                f"network gain = {gain} and readout_gain = {readout_gain} must be positive, "
                f"at most {MAX_GAIN:g}"
            )
        prior = prior or BinaryPrior()
        self.neuron = neuron or ThresholdNeuron()
        self.credit, self.burn_in, self.normalise = credit, burn_in, normalise
        self.readout_gain = readout_gain
        self.dataset_size: int | None = None
        built = build_layers(n_inputs, hidden, image_shape, prior, gain=gain, bias=bias, normalise=normalise)
        self.layers = PyroModuleList([layer.synapses for layer in built])
        self.pools = [layer.pool for layer in built]
        self._check_recurrent()
        self.readout = None
        if readout == "trained":
            self.readout = DenseSynapses(built[-1].n_outputs, likelihood.n_outputs, prior, gain=readout_gain)
        for name, module in self._modules_by_name().items():
            module.prior = prior.at(name)
        scored = len(built) if credit == "local" else 0
        n_random = scored if readout == "trained" else max(scored, 1)
        for k, layer in enumerate(built[len(built) - n_random :]):
            matrix = random_readout(likelihood.n_outputs, layer.n_outputs, readout_seed + k) * readout_gain
            self.register_buffer(f"random_readout_{k}", matrix)
        self._n_random = n_random
        n_readouts = n_random + (readout == "trained")
        self.likelihoods = PyroModuleList([copy.deepcopy(likelihood) for _ in range(n_readouts)])
        self.register_buffer("reference", None, persistent=False)

    # -- the pure part: weights and spikes in, read-outs out --------------------------------------

    @property
    def synapses(self) -> list[Synapses]:
        """The hidden layers' synapses."""
        return list(self.layers)  # type: ignore[arg-type]

    @property
    def weight_shapes(self) -> dict[str, tuple[int, int]]:
        """Shape ``(O, I)`` of each sample site of the synapses, in the order in which they are drawn."""
        modules = self._modules_by_name().items()
        return {f"{name}.{site}": shape for name, m in modules for site, shape in m.shapes.items()}

    def priors(self) -> dict[str, TorchDistribution]:
        """Return the prior of each site, all dimensions as the event."""
        named = self._modules_by_name().items()
        return {
            f"{name}.{site}": m.prior.at(site).distribution(shape)
            for name, m in named
            for site, shape in m.shapes.items()
        }

    @property
    def dtype(self) -> torch.dtype:
        """The floating type that the network computes in."""
        own = (t.dtype for t in (*self.parameters(), *self.buffers()) if t.is_floating_point())
        return next(own, torch.get_default_dtype())

    def _modules_by_name(self) -> dict[str, Synapses]:
        modules: dict[str, Synapses] = {f"layers.{k}": layer for k, layer in enumerate(self.synapses)}
        return modules if self.readout is None else {**modules, "readout": self.readout}

    @property
    def weight_sites(self) -> tuple[str, ...]:
        """Names of the sample sites of the synapses."""
        return tuple(self.weight_shapes)

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

    def _check_recurrent(self) -> None:
        if self.neuron.recurrent or not any(isinstance(m, RecurrentSynapses) for m in self.layers):
            return
        raise ModelError(
            f"{type(self.neuron).__name__} cannot have lateral synapses: set recurrent = false, or choose "
            "threshold or escape neurons"
        )

    def set_reference(self, spikes: Tensor | None) -> None:
        """Set the reference batch ``[T, R, I]`` whose statistics normalise predictions."""
        self.reference = None if spikes is None else compact(spikes)

    def _with_weights(self, weights: Mapping[str, Weight]) -> list[LayerRun]:
        return [
            LayerRun(self.neuron, synapses, pool, weights, k)
            for k, (synapses, pool) in enumerate(zip(self.synapses, self.pools, strict=True))
        ]

    def simulate(
        self,
        weights: Mapping[str, Weight],
        spikes: Tensor,
        state: NetworkState | None = None,
        plan: SimulationPlan = _PLAN,
    ) -> Simulation:
        """Run the network for given weights, without Pyro.

        Args:
            weights: ``[*S, O, I]`` for each name in :attr:`weight_sites`.
            spikes: inputs ``[T, B, I]``, shared by all draws, or ``[*S, T, B, I]`` in training.
            state: state to continue from; ``None`` means at rest.
            plan: what to compute and keep.

        Returns:
            Read-outs, spikes and potentials.  A normalised network in evaluation returns those of the
            examples without the reference batch; only the state includes it.

        Raises:
            ModelError: if the inputs do not fit, see :meth:`check_inputs`.
        """
        self.check_inputs(spikes)
        n_reference, moments = 0, plan.moments
        if self.normalise and not self.training and moments is None and plan.noise is not None:
            moments = self.reference_moments(weights, spikes.shape[-2], plan.noise)
        elif self.normalise and not self.training and moments is None:
            assert self.reference is not None
            n_reference = self.reference.shape[-2]
            spikes = joined(self.reference.to(spikes), spikes)
        local, carry = self.credit == "local", plan.carry or state is not None
        # Otherwise later losses reach the first steps, through traces or a layer's statistics.
        uncounted = plan.uncounted if local and not self.normalise else 0
        x, states, fired, potentials, readouts = spikes, [], [], [], []
        for k, layer in enumerate(self._with_weights(weights)):
            before = None if state is None else state.layers[k]
            sums, synaptic = layer.sums(x, before and before.synaptic, carry=carry, uncounted=uncounted)
            current = layer.synapses.finished(sums, moments[k] if moments else n_reference)
            layer = layer.drawing(plan.noise)
            s, u, reset, lateral = layer.fire(current, before, through_time=not local, record=plan.record)
            if u is not None:
                potentials.append(u)
            if carry and synaptic is not None:
                states.append(NeuronState(synaptic, reset, lateral))
            fired.append(s)
            x = layer.pooled(s)
            slot = k - (len(self.pools) - self._n_random)
            if slot >= 0:
                readouts.append(matmul_over_time(x, self.random_readout(slot)))
            x = x.detach() if local else x
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

    @torch.no_grad()
    def reference_moments(
        self, weights: Mapping[str, Tensor | Perturbed], n_examples: int, noise: PointNoise | None = None
    ) -> list[Moments]:
        """Return the moments of each hidden layer's currents on the reference batch.

        With many small chunks of examples they replace running the reference batch along with each chunk.

        Args:
            weights: ``[*S, O, I]`` for each name in :attr:`weight_sites`.
            n_examples: so many of the reference run at once, which bounds the memory.
            noise: of any inputs in the same members; that of the reference batch follows from it.
        """
        assert self.reference is not None
        own = noise and noise.on(self.reference)
        return moments_of(self._with_weights(weights), self.reference, n_examples, own)

    def point_noise(self, inputs: Tensor, seed: int, member: int = 0) -> PointNoise | None:
        """Return the noise of whole inputs ``[T, B, I]`` in one member; None where neurons draw nothing."""
        return PointNoise.of(inputs, seed, member) if self.neuron.stochastic else None

    def check_inputs(self, spikes: Tensor) -> None:
        """Refuse inputs that the network cannot run on.

        Raises:
            ModelError: if ``spikes`` are not a tensor ``[*S, T, B, I]``, floating ones of another precision
                than the network's, or a normalised network in evaluation has no reference batch of T steps.
        """
        if not isinstance(spikes, Tensor):
            raise ModelError(
                f"input spikes are a {type(spikes).__name__}; expected a tensor [T, B, I]: "
                f"torch.as_tensor(spikes, dtype={self.dtype})"
            )
        if spikes.is_floating_point() and spikes.dtype != self.dtype:
            raise ModelError(
                f"input spikes are {spikes.dtype} and the network computes in {self.dtype}: "
                f"spikes.to({self.dtype})"
            )
        n_inputs = self.synapses[0].n_inputs
        if spikes.dim() < 3 or spikes.shape[-1] != n_inputs:
            raise ModelError(
                f"input spikes have shape {tuple(spikes.shape)}; expected [T, B, I] with I = {n_inputs}"
            )
        if self.normalise and not self.training:
            check_reference(self.reference, spikes.shape[-3])

    # -- the Pyro model ---------------------------------------------------------------------------

    def draw_weights(self) -> dict[str, Weight]:
        """Sample all synapses, ``[*S, O, I]``; call it inside the model."""
        modules: list[Synapses] = [*self.synapses, *([] if self.readout is None else [self.readout])]
        drawn = [getattr(module, site) for module in modules for site in module.shapes]
        return {name: per_draw(w) for name, w in zip(self.weight_sites, drawn, strict=True)}

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
            spikes: inputs ``[T, B, I]``, or ``[S, T, B, I]`` where each draw sees examples of its own.
            y: targets ``[B]`` (or ``[S, B]``) of the examples, or class probabilities ``[B, C]`` in place of
                labels; ``None`` draws them.
            state: state to continue from.
            window: which steps these are; by default the whole sequence after ``burn_in``.

        Raises:
            ModelError: if the inputs do not fit, see :meth:`check_inputs`, or targets are not a tensor.
        """
        self.check_inputs(spikes)
        if not (y is None or isinstance(y, Tensor)):
            raise ModelError(f"targets are a {type(y).__name__}; expected a tensor: torch.as_tensor(y)")
        window = window or Window(burn_in=self.burn_in)
        if spikes.shape[-3] <= window.burn_in:
            raise ModelError(
                f"{spikes.shape[-3]} steps leave nothing to score after burn_in = {window.burn_in}"
            )
        whole = state is None and window.fraction == 1
        plan = SimulationPlan(uncounted=window.burn_in, record=False, carry=not whole)
        simulation = self.simulate(self.draw_weights(), spikes, state, plan)
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


class SignNetwork(SpikingGLM):
    r"""A feed-forward network of sign units with one output unit per class (arXiv 1503.03562).

    Hidden units are :math:`\operatorname{sign}(W a/\sqrt I + b)`; the read-out :math:`z = W a + b` is the
    outputs' potential in units of its noise, which is that of a bias of variance 1.  Biases are parameters.

    Otherwise it is a spiking GLM with one step: the same sites (``layers.<l>.weight`` and
    ``readout.weight``), guides and prediction.  Expectation backpropagation fits it without a gradient;
    other guides use the surrogate gradient.

    Args:
        n_inputs: inputs I.
        hidden: sizes of the hidden layers.
        likelihood: of the label given the read-out; usually :class:`CategoricalProbit`.
        prior: over all synapses; default a fair :class:`BinaryPrior`.
        surrogate: of the hidden units, see :class:`SignNeuron`.

    Raises:
        ModelError: if the parts do not fit together.
    """

    readout: DenseSynapses

    def __init__(
        self,
        n_inputs: int,
        hidden: Sequence[int],
        likelihood: Likelihood,
        *,
        prior: Prior | None = None,
        surrogate: Surrogate | None = None,
    ) -> None:
        if not all(isinstance(n, Integral) for n in hidden):
            raise ModelError(f"a network of sign units has dense layers only: numbers of units, not {hidden}")
        super().__init__(
            n_inputs,
            hidden,
            likelihood,
            prior=prior,
            neuron=SignNeuron(surrogate or Boxcar()),
            credit="end-to-end",
            readout="trained",
            readout_gain=math.sqrt(hidden[-1]),
            bias=True,
        )
        bias = PyroParam(torch.zeros(likelihood.n_outputs), constraints.real, 1)
        self.readout.bias = bias  # type: ignore[assignment]

    @property
    def all_synapses(self) -> list[Synapses]:
        """The synapses of all layers, the read-out's last, in the order of ``weight_sites``."""
        return [*self.synapses, self.readout]

    def check_inputs(self, spikes: Tensor) -> None:
        """Refuse inputs that are not ``[1, B, I]``.

        Raises:
            ModelError: as for any network, and if there is more than one step.
        """
        super().check_inputs(spikes)
        if spikes.shape[-3] != 1:
            raise ModelError(
                f"a network of sign units runs one step, and the input has {spikes.shape[-3]} steps; "
                "set encoder.n_steps = 1"
            )
