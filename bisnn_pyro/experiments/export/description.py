"""What the header of an exported network says of its parts."""

from __future__ import annotations

from typing import Any

from bisnn_pyro.errors import RunFolderError
from bisnn_pyro.models import (
    BernoulliRate,
    BernoulliSteps,
    CategoricalProbit,
    CategoricalRate,
    CategoricalSteps,
    ConvSynapses,
    EscapeNeuron,
    Gaussian,
    Likelihood,
    Neuron,
    RecurrentSynapses,
    SignNetwork,
    SignNeuron,
    SingleStepNeuron,
    SpikePool,
    SpikeTrainBernoulli,
    SpikingGLM,
    Synapses,
    ThresholdNeuron,
)

_VOTES: dict[type[Likelihood], str] = {
    CategoricalRate: "softmax",
    CategoricalSteps: "softmax",
    BernoulliRate: "sigmoid",
    BernoulliSteps: "sigmoid",
    CategoricalProbit: "probit",
}


def check_parts(model: SpikingGLM, where: str) -> None:
    """Refuse a network with parts of the user's own.

    Args:
        model: the network.
        where: what a message calls it.

    Raises:
        RunFolderError: if the format knows nothing of a part.
    """
    known: list[tuple[Any, tuple[type[Any], ...]]] = [
        (model, (SpikingGLM, SignNetwork)),
        (model.neuron, (ThresholdNeuron, EscapeNeuron, SingleStepNeuron, SignNeuron)),
        (model.likelihood, (*_VOTES, Gaussian, SpikeTrainBernoulli)),
    ]
    for part, kinds in known:
        if type(part) not in kinds:
            raise RunFolderError(
                f"{where} has a part of your own, {type(part).__name__}, of which the format knows nothing; "
                "its weights are in posterior.safetensors, and load_run predicts with them"
            )


def describe_layer(synapses: Synapses, pool: SpikePool | None) -> dict[str, Any]:
    """Return the header's entry of a hidden layer, but for its name."""
    sizes = {"n_inputs": synapses.n_inputs, "n_units": synapses.n_units}
    if not isinstance(synapses, ConvSynapses):
        return {"kind": "recurrent" if isinstance(synapses, RecurrentSynapses) else "dense", **sizes}
    pooling = {} if pool is None else {"pool": pool.window, "pooling": pool.kind}
    return {
        "kind": "conv",
        **sizes,
        "image_shape": list(synapses.image_shape),
        "channels": synapses.fan_out,
        **{key: getattr(synapses, key) for key in ("kernel", "stride", "padding", "channels_last")},
        **pooling,
    }


def describe_neuron(neuron: Neuron) -> dict[str, Any]:
    """Return the header's entry of the neuron."""
    if isinstance(neuron, SignNeuron):
        return {"kind": "sign"}
    if isinstance(neuron, SingleStepNeuron):
        return {"kind": "single-step", "threshold": neuron.threshold}
    assert isinstance(neuron, ThresholdNeuron | EscapeNeuron)
    own = {"decays": list(neuron.constants.decays), "reset": neuron.reset}
    if isinstance(neuron, EscapeNeuron):
        return {"kind": "escape", **own, "delta": neuron.delta}
    return {"kind": "threshold", **own}


def describe_likelihood(likelihood: Likelihood) -> dict[str, Any]:
    """Return the header's entry of the likelihood."""
    if isinstance(likelihood, Gaussian):
        return {"kind": "mean", "noise_scale": float(likelihood.noise_scale.detach())}
    if isinstance(likelihood, SpikeTrainBernoulli):
        own = {key: getattr(likelihood, key) for key in ("delta", "reset", "period")}
        return {"kind": "spike-train", **own, "decay": likelihood.constants.decays[2]}
    return {"kind": _VOTES[type(likelihood)]}
