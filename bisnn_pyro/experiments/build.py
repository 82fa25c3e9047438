"""From a config to the objects of a run: task, encoder, network, guide and learner."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from bisnn_pyro.data import Encoder, SpikeAugmentation, SpikesEncoder, StandardEncoder, Task, take_share
from bisnn_pyro.data.limits import check_example, enough_memory
from bisnn_pyro.errors import ConfigError, DataError
from bisnn_pyro.experiments import parts
from bisnn_pyro.experiments.config import Config
from bisnn_pyro.inference import GradientSteps, Learner, SynapticGuide, TrainSettings, Updater
from bisnn_pyro.inference.requirements import Sizes, memory_needs
from bisnn_pyro.memory import check_memory
from bisnn_pyro.models import Likelihood, Neuron, SpikingGLM


def build_task(config: Config, *, trust: bool = False) -> Task:
    """Load the data that the config names; of the training examples, those in ``train.share``.

    Raises:
        ConfigError: if a function of the user's own returns something else than a task.
    """
    with enough_memory(f"the data set {config.data.name!r}"):
        task = parts.make("data", config.data, trust=trust)
    if not isinstance(task, Task):
        raise ConfigError(f"data.name = {config.data.name!r} returned a {type(task).__name__}, not a Task")
    share = config.train.get("share")
    return task if share is None else take_share(task, *share)


def check_noise(config: Config, task: Any) -> None:
    """Refuse noise on ready spikes, which have no features to add it to."""
    if task.spiking and (config.train.input_noise or config.analysis.noise):
        raise ConfigError(
            "train.input_noise and analysis.noise are for features; the data are ready spikes: "
            "set train.input_noise = 0 and analysis.noise = []"
        )


def build_augmentation(config: Config, task: Task) -> SpikeAugmentation | None:
    """Make what changes training examples at random; ``None`` if nothing does.

    Raises:
        ConfigError: if a setting does not suit inputs such as the task's.
    """
    if not any(config.augment.values()):
        return None
    try:
        augmentation = parts.make("augment", config.augment, image_shape=task.image_shape)
        augmentation.check(task.train.x.shape)
    except DataError as error:
        raise ConfigError(f"[augment] does not suit the data: {error}") from error
    return augmentation


def build_encoder(config: Config, task: Any, *, trust: bool = False) -> Encoder:
    """Make the encoder, fitted on the training set if it needs that; ready spikes go in as they are.

    Args:
        config: the config.
        task: the task, or the :class:`~bisnn_pyro.data.Preprocessing` of a finished run.
        trust: allow the import of a class of the user's own.
    """
    if task.spiking:
        return SpikesEncoder(task.n_steps)
    encoder = parts.make("encoder", config.encoder, trust=trust)
    if not isinstance(encoder, StandardEncoder):
        return encoder
    if isinstance(task, Task):
        return encoder.fit(task.train.x, task.image_shape)
    if task.standardiser is None:
        raise DataError("preprocessing.json lacks the key 'standardiser', which the encoder 'standard' needs")
    return encoder.fitted(task.standardiser)


def build_model(
    config: Config,
    task: Any,
    encoder: Encoder,
    *,
    naturals: Mapping[str, Tensor] | None = None,
    trust: bool = False,
) -> SpikingGLM:
    """Make the network; input size and number of classes come from the data.

    ``naturals`` are those of the run that is the prior, if the prior is a run's posterior.
    """
    if encoder.n_steps <= (burn_in := config.network.get("burn_in", 0)):
        raise ConfigError(f"network.burn_in = {burn_in} leaves nothing of {encoder.n_steps} encoded steps")
    check_memory(memory_needs(Sizes.of(config.to_dict(), task, encoder)), "make it smaller")
    table = config.network.to_dict()
    inner = {kind: table.pop(kind, None) for kind in ("surrogate", "neuron")}
    surrogate = inner["surrogate"] and parts.make("surrogate", inner["surrogate"], trust=trust)
    neuron = inner["neuron"] and parts.make("neuron", inner["neuron"], trust=trust, surrogate=surrogate)
    n_inputs = encoder.n_inputs(task.n_features)
    check_example(encoder.n_steps, n_inputs)
    return parts.make(
        "network",
        table,
        trust=trust,
        n_inputs=n_inputs,
        likelihood=build_likelihood(config, task, neuron, trust=trust),
        prior=parts.make("prior", config.prior, trust=trust, naturals=naturals),
        image_shape=_image_shape(config, task, n_inputs),
        neuron=neuron,
        surrogate=surrogate,
    )


def build_likelihood(
    config: Config, task: Any, neuron: Neuron | None = None, *, trust: bool = False
) -> Likelihood:
    """Make the likelihood for the task's kind and number of classes.

    Raises:
        ConfigError: if it is for the other kind of target.
    """
    name = config.likelihood.name
    if ":" not in name and (name == "gaussian") != (task.kind == "regression"):
        hint = (
            "set likelihood.name = 'gaussian'"
            if task.kind == "regression"
            else "'gaussian' is for regressions"
        )
        raise ConfigError(f"likelihood.name = {name!r} does not suit a {task.kind}: {hint}")
    return parts.make("likelihood", config.likelihood, trust=trust, n_classes=task.n_classes, neuron=neuron)


def _image_shape(config: Config, task: Any, n_inputs: int) -> tuple[int, ...] | None:
    """Return the shape ``(C, H, W)`` of the network's inputs if it has a convolution.

    Raises:
        ConfigError: if the data are not images, or the encoder makes something else of them.
    """
    if not any(
        isinstance(layer, dict) and layer["kind"] == "conv" for layer in config.to_dict()["network"]["hidden"]
    ):
        return None
    if task.image_shape is None:
        raise ConfigError(
            "network.hidden has a convolution, and the data have no image shape: use dense layers"
        )
    if n_inputs != math.prod(task.image_shape):
        raise ConfigError(
            f"network.hidden has a convolution, and encoder.name = {config.encoder.name!r} makes {n_inputs} "
            f"inputs of images {task.image_shape}: choose an encoder with one input per pixel, for example "
            "'rate', 'latency' or 'direct', or use dense layers"
        )
    return task.image_shape


def build_guide(config: Config, model: SpikingGLM, *, trust: bool = False) -> SynapticGuide:
    """Make the guide, without parameters yet."""
    batch_size = config.train.batch_size
    return parts.make("guide", config.guide, trust=trust, model=model, batch_size=batch_size)


def build_learner(
    config: Config,
    model: SpikingGLM,
    guide: SynapticGuide,
    encoder: Encoder,
    augment: SpikeAugmentation | None = None,
    *,
    trust: bool = False,
) -> Learner:
    """Make the learner."""
    settings = parts.make("train", config.train)
    updater = build_updater(config, settings, trust=trust)
    return Learner(model, guide, encoder, updater, settings, seed=config.seed, augment=augment)


def build_updater(config: Config, settings: TrainSettings, *, trust: bool = False) -> Updater:
    """Make what moves the posterior: an :class:`Updater`, or gradient steps with a torch optimiser."""
    if issubclass(parts.find("rule", config.rule.name, trust=trust), Updater):
        return parts.make("rule", config.rule, trust=trust)
    p = config.prior.get("p", 0.5)
    supplied: dict[str, Any] = {"prior": 0.5 * math.log(p / (1 - p)), "batch_size": settings.batch_size}

    def optimisers(model: SpikingGLM, guide: SynapticGuide) -> list[torch.optim.Optimizer]:
        supplied["dataset_size"] = model.dataset_size
        return [parts.make("rule", config.rule, trust=trust, params=list(guide.parameters()), **supplied)]

    return GradientSteps(optimisers)
