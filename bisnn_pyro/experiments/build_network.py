"""From a config and a task to a network: neurons, layers, read-out, likelihood and prior."""

from __future__ import annotations

import math
from typing import Any

from bisnn_pyro.data import Task
from bisnn_pyro.data.encoders import Encoder
from bisnn_pyro.errors import ConfigError
from bisnn_pyro.experiments.config import Config
from bisnn_pyro.experiments.network_config import ConvLayer, DenseLayer, NetworkConfig
from bisnn_pyro.experiments.own_parts import checked, construct, import_reference, refuse_settings
from bisnn_pyro.models import (
    SURROGATES,
    BernoulliRate,
    BernoulliSteps,
    BinaryPrior,
    CategoricalProbit,
    CategoricalRate,
    CategoricalSteps,
    Conv,
    Dense,
    EscapeNeuron,
    Gaussian,
    Likelihood,
    Neuron,
    NormalPrior,
    Prior,
    SignNetwork,
    SingleStep,
    SingleStepNeuron,
    SpikeTrainBernoulli,
    SpikingGLM,
    Surrogate,
    ThresholdNeuron,
    TimeConstants,
)

BINARY_GUIDES = ("relaxed", "straight-through", "ebp")


CLASS_LIKELIHOODS: dict[str, type[Any]] = {
    "bernoulli-steps": BernoulliSteps,
    "categorical-steps": CategoricalSteps,
    "bernoulli-rate": BernoulliRate,
    "categorical-rate": CategoricalRate,
}


def build_model(config: Config, task: Task, encoder: Encoder) -> SpikingGLM:
    """Make the network; input size and classes come from the data."""
    net = config.network
    likelihood = build_likelihood(config, task)
    n_inputs = encoder.n_inputs(task.n_features)
    hidden = [build_layer(layer) for layer in net.hidden]
    if net.name == "sign":
        refuse_settings("network.settings", net.settings)
        _check_sign(config)
        sizes, surrogate = [n for n in hidden if isinstance(n, int)], build_surrogate(config)
        return SignNetwork(n_inputs, sizes, likelihood, prior=build_prior(config), surrogate=surrogate)
    settings: dict[str, Any] = {
        "prior": build_prior(config),
        "neuron": build_neuron(config),
        "credit": net.credit,
        "readout": net.readout,
        "gain": net.gain,
        "readout_gain": net.readout_gain,
        "bias": net.bias,
        "normalise": net.normalise,
        "burn_in": net.burn_in,
        "readout_seed": net.readout_seed,
    }
    if any(isinstance(layer, Conv) for layer in hidden):
        settings["image_shape"] = image_shape_of(config, task, n_inputs)
    network: Any = SpikingGLM
    if ":" in net.name:
        network = import_reference(net.name, "network.name")
        settings.update({k: v for k, v in net.settings.items() if k != "neuron"})
    else:
        refuse_settings("network.settings", {k: v for k, v in net.settings.items() if k != "neuron"})
    return construct("[network]", network, n_inputs, hidden, likelihood, **settings)


def build_layer(layer: int | DenseLayer | ConvLayer) -> int | Dense | Conv:
    """Make the description of a hidden layer; a number of units is one already."""
    if isinstance(layer, int):
        return layer
    settings = layer.model_dump(exclude={"kind"})
    return Conv(**settings) if isinstance(layer, ConvLayer) else Dense(**settings)


def image_shape_of(config: Config, task: Task, n_inputs: int) -> tuple[int, ...]:
    """Return the shape ``(C, H, W)`` of the network's inputs, for convolutions.

    Raises:
        ConfigError: if the data are no images, or the encoder makes something else of them.
    """
    if task.image_shape is None:
        raise ConfigError(
            "network.hidden has a convolution, and the data have no image shape: use dense layers"
        )
    if n_inputs != math.prod(task.image_shape):
        raise ConfigError(
            f"network.hidden has a convolution, and encoder.name = {config.encoder.name!r} makes {n_inputs} "
            f"inputs of images {task.image_shape}: choose an encoder with one input a pixel, for example "
            "'rate', 'latency' or 'direct', or use dense layers"
        )
    return task.image_shape


def _check_sign(config: Config) -> None:
    """Refuse keys of a spiking network, which one of sign units would ignore."""
    taken = {"name", "hidden", "surrogate", "surrogate_width", "settings"}
    vain = config.network.changed([key for key in NetworkConfig.model_fields if key not in taken])
    if vain:
        names = ", ".join(f"network.{key}" for key in vain)
        raise ConfigError(f"network.name = 'sign' has no use for {names}: leave it out")
    if not all(isinstance(layer, int) for layer in config.network.hidden):
        raise ConfigError("network.name = 'sign' has plain dense layers only: make network.hidden numbers")


def build_neuron(config: Config) -> Neuron:
    """Make the neuron of the hidden layers."""
    net = config.network
    constants = TimeConstants(net.tau_membrane, net.tau_synapse, net.tau_refractory)
    if ":" in net.neuron:
        own = import_reference(net.neuron, "network.neuron")
        made = construct("network.neuron", own, **net.settings.get("neuron", {}))
        return checked("network.neuron", made, Neuron)
    refuse_settings("network.settings.neuron", net.settings.get("neuron", {}))
    if net.neuron == "escape":
        return EscapeNeuron(constants, delta=net.delta, reset=net.reset)
    if net.neuron == "single-step":
        return SingleStepNeuron(net.threshold, build_surrogate(config))
    return ThresholdNeuron(constants, surrogate=build_surrogate(config), reset=net.reset)


def build_surrogate(config: Config) -> Surrogate:
    """Make what stands for the derivative of a threshold unit's step."""
    net = config.network
    name = net.surrogate
    if name == "auto":
        name = "single-step" if net.neuron == "single-step" else "boxcar"
    if name == "single-step":
        return SingleStep(net.surrogate_width, net.surrogate_alpha)
    return SURROGATES[name](net.surrogate_width)


def build_likelihood(config: Config, task: Task) -> Likelihood:
    """Make the likelihood for the task's kind and number of classes.

    Raises:
        ConfigError: if it is for the other kind of target.
    """
    table = config.likelihood
    if ":" in table.name:
        own = import_reference(table.name, "likelihood.name")
        return checked(
            "likelihood.name", construct("[likelihood]", own, task.n_classes, **table.settings), Likelihood
        )
    refuse_settings("likelihood.settings", table.settings)
    if (table.name == "gaussian") != (task.kind == "regression"):
        hint = (
            "set likelihood.name = 'gaussian'"
            if task.kind == "regression"
            else "'gaussian' is for regressions"
        )
        raise ConfigError(f"likelihood.name = {table.name!r} does not suit a {task.kind}: {hint}")
    if table.name == "gaussian":
        return Gaussian(table.noise)
    if table.name == "probit":
        return CategoricalProbit(task.n_classes)
    if table.name == "spike-train":
        net = config.network
        constants = TimeConstants(net.tau_membrane, net.tau_synapse, net.tau_refractory)
        return SpikeTrainBernoulli(
            task.n_classes, constants=constants, delta=table.delta, reset=net.reset, period=table.period
        )
    name = table.name
    if name in ("steps", "rate"):
        name = f"{'bernoulli' if task.n_classes == 2 else 'categorical'}-{name}"
    return CLASS_LIKELIHOODS[name](task.n_classes)


def build_prior(config: Config) -> Prior:
    """Make the prior that suits the guide: binary synapses or real ones."""
    if config.guide.name in BINARY_GUIDES:
        return BinaryPrior(config.prior.p)
    return NormalPrior(config.prior.scale)
