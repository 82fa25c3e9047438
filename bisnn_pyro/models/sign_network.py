"""A network of sign units: one step, no time, +1 or -1 out of every unit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral

import torch
from pyro.nn import PyroParam
from torch import Tensor
from torch.distributions import constraints

from bisnn_pyro.errors import ModelError
from bisnn_pyro.models.layers import DenseSynapses, Synapses
from bisnn_pyro.models.likelihoods import Likelihood
from bisnn_pyro.models.network import SpikingGLM
from bisnn_pyro.models.neurons import SignNeuron
from bisnn_pyro.models.priors import Prior
from bisnn_pyro.models.surrogate import Boxcar, Surrogate


class SignNetwork(SpikingGLM):
    r"""A feed-forward network of sign units with an output unit a class (arXiv 1503.03562).

    Hidden units are :math:`\operatorname{sign}(W a/\sqrt I + b)`; the read-out is :math:`z = W a + b`, the
    outputs' potentials in units of their noise, that of a bias of variance 1.  All biases are parameters.

    In everything else the spiking GLM with one step: the same sites (``layers.<l>.weight`` and
    ``readout.weight``), guides and prediction.  Expectation backpropagation fits it without a gradient;
    other guides take the surrogate's.

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
        if spikes.shape[0] != 1:
            raise ModelError(
                f"a network of sign units has no time, and the input has {spikes.shape[0]} steps; "
                "set encoder.n_steps = 1"
            )
