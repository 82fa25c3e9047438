"""A run's network as a file of packed bits: the mode, or one member of the committee."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import bisnn_pyro
from bisnn_pyro.errors import ConfigError, RunFolderError
from bisnn_pyro.experiments.fitted import FittedRun, load_run
from bisnn_pyro.exports.format import write_file
from bisnn_pyro.inference import posterior_draws
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
    Moments,
    Neuron,
    NoisyDirichlet,
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

SUFFIX = ".bisnn"
_EXAMPLES = 50
"""Examples of the reference batch simulated at once."""

Weights = Mapping[str, Tensor]
Arrays = dict[str, np.ndarray]


def export(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    member: int | None = None,
    trust: bool = False,
) -> Path:
    """Write the mode of a run, or one member of its committee, as packed 1-bit weights.

    Of a mixture (``guide.components``) that is the first component's mode, or the member of its component.

    Args:
        path: a run folder.
        out: the file; ``mode.bisnn`` or ``member-K.bisnn`` in the run folder by default.
        member: K, to write the K-th member of the run's committee, from 0 on; the mode by default.
        trust: as for :func:`bisnn_pyro.load_run`.

    Returns:
        The file, which :func:`bisnn_pyro.read_export` reads.

    Raises:
        ConfigError: if ``out`` is a folder.
        RunFolderError: if the run cannot be read, has real weights, has no such member, or has parts of the
            user's own, which the format does not know.
    """
    folder, name = Path(path), "mode" if member is None else f"member-{member}"
    if out is not None and Path(out).is_dir():
        raise ConfigError(f"--out {out} is a folder; name a file, {Path(out) / (name + SUFFIX)} for example")
    fitted = load_run(folder, trust=trust)
    fitted, weights = _network(fitted, member, folder)
    _check_parts(fitted.model, str(folder))
    layers, signs, constants = _layers(fitted, weights, member or 0)
    header = {"network": name, **_origin(fitted), **_meaning(fitted), "layers": layers}
    return write_file(folder / f"{name}{SUFFIX}" if out is None else Path(out), header, signs, constants)


def _origin(fitted: FittedRun) -> dict[str, Any]:
    config = fitted.config
    own = {"experiment": config.experiment, "method": config.method, "seed": config.seed}
    return {"made_by": f"bisnn_pyro {bisnn_pyro.__version__}", **own}


def _meaning(fitted: FittedRun) -> dict[str, Any]:
    """Return what the header says of inputs, units and outputs."""
    model, labels = fitted.model, fitted.preprocessing.labels
    spiking = fitted.preprocessing.spiking
    traced = isinstance(model.neuron, ThresholdNeuron | EscapeNeuron)
    return {
        "n_inputs": model.synapses[0].n_inputs,
        "n_steps": fitted.encoder.n_steps,
        "burn_in": model.burn_in,
        "encoder": {"name": "spikes"} if spiking else fitted.config.encoder.to_dict(),
        "classes": [] if labels is None else list(labels.names),
        "neuron": _describe_neuron(model.neuron),
        "readout": {"filtered": traced and model.readout is not None},
        "likelihood": _describe_likelihood(model.likelihood),
    }


def _network(fitted: FittedRun, member: int | None, path: Path) -> tuple[FittedRun, dict[str, Tensor]]:
    """Return the component and the weights ``[O, I]`` of each site."""
    if not fitted.guide.binary:
        raise RunFolderError(
            f"{path} has real weights (guide {fitted.config.guide.name!r}), and only weights of +1 and -1 "
            "can be packed into bits: export a run of bayes, straight-through or ebp"
        )
    if member is None:
        return fitted.component(0) if fitted.others else fitted, fitted.guide.mode()
    if fitted.guide.point and not fitted.others:
        raise RunFolderError(f"{path} is a point estimate: it has no members, leave --member out")
    n_members = fitted.n_members("mode") if fitted.guide.point else fitted.config.predict.draws
    if not 0 <= member < n_members:
        raise RunFolderError(
            f"{path} has a committee of {n_members}: give --member 0 to {n_members - 1}, not {member}"
        )
    of = n_members
    if fitted.others:
        n = len(fitted.components)
        member, m = divmod(member, n)
        fitted, of = fitted.component(m), len(range(m, n_members, n))
    seed = fitted.config.predict.seed
    drawn = posterior_draws(fitted.guide, seed, scheme=fitted.scheme, of=of)(member, 1)
    if not all(bool((w.abs() == 1).all()) for w in drawn.values()):
        raise RunFolderError(
            f"members of {path} have other weights than +1 and -1 (guide {fitted.config.guide.name!r}): "
            "leave --member out to export the mode"
        )
    return fitted, {name: w[0] for name, w in drawn.items()}


def _layers(fitted: FittedRun, weights: Weights, member: int) -> tuple[list[dict[str, Any]], Arrays, Arrays]:
    """Return the header's layers, the signs and the constants of all layers, the read-out's last."""
    model = fitted.model
    moments = _moments(fitted, weights, member)
    layers: list[dict[str, Any]] = []
    signs: Arrays = {}
    constants: Arrays = {}
    for k, (synapses, pool) in enumerate(zip(model.synapses, model.pools, strict=True)):
        name = f"layers.{k}"
        layers.append({"name": name, **_describe_layer(synapses, pool)})
        for site in synapses.shapes:
            signs[f"{name}.{site}"] = _signs(weights[f"{name}.{site}"])
        constants |= _constants(name, synapses, moments[k] if moments else None)
    if model.readout is None:
        fixed = model.random_readout(-1)
        signs["readout.weight"] = _signs(torch.sign(fixed))
        constants |= {"readout.scale": fixed.abs().max().reshape(1).numpy(), "readout.offset": np.zeros(1)}
    else:
        signs["readout.weight"] = _signs(weights["readout.weight"])
        constants |= _constants("readout", model.readout, None)
    return layers, signs, constants


@torch.no_grad()
def _moments(fitted: FittedRun, weights: Weights, member: int) -> list[Moments] | None:
    """Return what normalises the layers: this network's own moments on the run's reference batch."""
    if not fitted.model.normalise:
        return None
    assert fitted.model.reference is not None
    noise = fitted.model.point_noise(fitted.model.reference, fitted.config.predict.seed, member)
    return fitted.model.reference_moments(weights, _EXAMPLES, noise)


def _constants(name: str, synapses: Synapses, moments: Moments | None) -> Arrays:
    """Return scale and offset of the sums, in double until they are stored."""
    scale, offset = torch.full((1,), synapses.scale, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    if synapses.bias is not None:
        offset = synapses.bias.detach().double()
    if moments is not None:
        assert synapses.normalisation is not None
        mean, variance = (m.reshape(-1).double() for m in moments)
        gain = synapses.normalisation.gain.detach().double() * torch.rsqrt(
            variance + synapses.normalisation.eps
        )
        scale, offset = scale * gain, synapses.normalisation.offset.detach().double() - mean * gain
    found = {f"{name}.scale": scale.numpy(), f"{name}.offset": offset.numpy()}
    if isinstance(synapses, RecurrentSynapses):
        found[f"{name}.lateral_scale"] = np.array([synapses.lateral_scale])
    return found


def _signs(weights: Tensor) -> np.ndarray:
    return weights.detach().cpu().to(torch.int8).numpy()


_VOTES: dict[type[Likelihood], str] = {
    CategoricalRate: "softmax",
    CategoricalSteps: "softmax",
    BernoulliRate: "sigmoid",
    BernoulliSteps: "sigmoid",
    CategoricalProbit: "probit",
    NoisyDirichlet: "scaled-softmax",
}


def _check_parts(model: SpikingGLM, where: str) -> None:
    """Refuse a network with parts of the user's own.

    Args:
        model: the network.
        where: what a message calls it.

    Raises:
        RunFolderError: if the format does not know a part.
    """
    known: list[tuple[Any, tuple[type[Any], ...]]] = [
        (model, (SpikingGLM, SignNetwork)),
        (model.neuron, (ThresholdNeuron, EscapeNeuron, SingleStepNeuron, SignNeuron)),
        (model.likelihood, (*_VOTES, Gaussian, SpikeTrainBernoulli)),
    ]
    for part, kinds in known:
        if type(part) not in kinds:
            raise RunFolderError(
                f"{where} has a part of your own, {type(part).__name__}, which the format does not know; "
                "its weights are in posterior.safetensors, and load_run predicts with them"
            )


def _describe_layer(synapses: Synapses, pool: SpikePool | None) -> dict[str, Any]:
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


def _describe_neuron(neuron: Neuron) -> dict[str, Any]:
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


def _describe_likelihood(likelihood: Likelihood) -> dict[str, Any]:
    """Return the header's entry of the likelihood."""
    if isinstance(likelihood, Gaussian):
        return {"kind": "mean", "noise_scale": float(likelihood.noise_scale.detach())}
    if isinstance(likelihood, SpikeTrainBernoulli):
        own = {key: getattr(likelihood, key) for key in ("delta", "reset", "period")}
        return {"kind": "spike-train", **own, "decay": likelihood.constants.decays[2]}
    kind: dict[str, Any] = {"kind": _VOTES[type(likelihood)]}
    if isinstance(likelihood, NoisyDirichlet):
        own = {key: getattr(likelihood, key).detach().tolist() for key in ("gain", "offset")}
        return {**kind, **own}
    gained = getattr(likelihood, "learn_gain", False)
    return {**kind, "gain": float(likelihood.gain.detach())} if gained else kind
