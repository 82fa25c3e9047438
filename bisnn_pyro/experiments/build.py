"""From a config and a task to an encoder, a guide and a learner."""

from __future__ import annotations

from typing import Any

from bisnn_pyro.data import SpikeAugmentation, StandardEncoder, Task, load_task, make_encoder
from bisnn_pyro.data.encoders import Encoder
from bisnn_pyro.errors import ConfigError, DataError
from bisnn_pyro.experiments.build_rule import build_optimisers
from bisnn_pyro.experiments.config import Config, GuideConfig, RuleConfig
from bisnn_pyro.experiments.own_parts import checked, construct, import_reference
from bisnn_pyro.inference import (
    AutoExpectationNormal,
    AutoExpectationSign,
    AutoFullPrecision,
    AutoGaussian,
    AutoRelaxedSign,
    AutoStraightThrough,
    ExpectationLearner,
    Learner,
    Schedule,
    SynapticGuide,
    TrainSettings,
)
from bisnn_pyro.models import SpikingGLM

EXPECTATION_GUIDES = ("ebp", "ebp-real")


def check_noise(config: Config, task: Any) -> None:
    """Refuse noise on ready spikes, which have no features to add it to."""
    if task.spiking and (config.train.input_noise or config.analysis.noise):
        raise ConfigError(
            "train.input_noise and analysis.noise are for features; the data are ready spikes: "
            "set train.input_noise = 0 and analysis.noise = []"
        )


def build_augmentation(config: Config, task: Task) -> SpikeAugmentation | None:
    """Make what changes training examples at random; None where nothing does.

    Raises:
        ConfigError: if a setting is not for inputs such as the task's.
    """
    if not config.augment.changed(type(config.augment).model_fields):
        return None
    try:
        augmentation = SpikeAugmentation(**config.augment.model_dump(), image_shape=task.image_shape)
        augmentation.check(task.train.x.shape)
    except DataError as error:
        raise ConfigError(f"[augment] does not suit the data: {error}") from error
    return augmentation


def build_task(config: Config) -> Task:
    """Load the data that the config names."""
    return load_task(config.data.name, **config.data.settings)


def build_encoder(config: Config, task: Task) -> Encoder:
    """Make the encoder, fitted where it needs the training set; ready spikes go in as they are."""
    if task.spiking:
        return make_encoder("spikes", n_steps=task.n_steps)
    if ":" in config.encoder.name:
        own = import_reference(config.encoder.name, "encoder.name")
        encoder = checked("encoder.name", construct("[encoder]", own, **config.encoder.settings), Encoder)
    else:
        encoder = make_encoder(config.encoder.name, **config.encoder.settings)
    if not isinstance(encoder, StandardEncoder):
        return encoder
    if isinstance(task, Task):
        return encoder.fit(task.train.x, task.image_shape)
    if task.standardiser is None:
        raise DataError("preprocessing.json lacks the key 'standardiser', which the encoder 'standard' needs")
    return encoder.fitted(task.standardiser)


def build_guide(config: Config, model: SpikingGLM) -> SynapticGuide:
    """Make the guide, without parameters yet."""
    guide: GuideConfig = config.guide
    init = {} if guide.init_scale is None else {"init_scale": guide.init_scale}
    if guide.name == "relaxed":
        return AutoRelaxedSign(model, temperature=guide.temperature, hard=guide.hard, **init)
    if guide.name == "straight-through":
        return AutoStraightThrough(model, clip=guide.clip, **init)
    if guide.name == "gaussian":
        return AutoGaussian(model, init_deviation=guide.init_deviation, **init)
    if guide.name == "ebp":
        return AutoExpectationSign(model, dropout=guide.dropout, **init)
    if guide.name == "ebp-real":
        return AutoExpectationNormal(model, dropout=guide.dropout, **init)
    return AutoFullPrecision(model, **init)


def _check_expectation(config: Config) -> None:
    """Refuse keys that somebody set in vain."""
    vain = [f"rule.{key}" for key in config.rule.changed(RuleConfig.model_fields)]
    kl = ("kl_weight", "kl_weight_end", "kl_weight_shape", "kl_warmup")
    vain += [f"train.{key}" for key in config.train.changed(kl)]
    vain += [f"guide.{key}" for key in config.guide.changed(("temperature", "temperature_end"))]
    if vain:
        raise ConfigError(
            f"guide.name = {config.guide.name!r} is fitted by expectation backpropagation, which has no "
            f"learning rate, no KL weight and no temperature: leave {', '.join(vain)} out"
        )


def build_learner(
    config: Config,
    model: SpikingGLM,
    guide: SynapticGuide,
    encoder: Encoder,
    augment: SpikeAugmentation | None = None,
    *,
    progress: bool = False,
) -> Learner:
    """Make the learner."""
    train, rule, table = config.train, config.rule, config.guide
    shared = TrainSettings.__dataclass_fields__.keys() & type(train).model_fields.keys()
    settings = TrainSettings(**{k: getattr(train, k) for k in shared}, progress=progress)
    if table.name in EXPECTATION_GUIDES:
        _check_expectation(config)
        return ExpectationLearner(model, guide, encoder, settings=settings, seed=config.seed, augment=augment)
    return Learner(
        model,
        guide,
        encoder,
        lambda m, g: build_optimisers(config, m, g),
        settings,
        kl_weight=Schedule(train.kl_weight, train.kl_weight_end, train.kl_weight_shape, train.kl_warmup),
        temperature=Schedule(table.temperature, table.temperature_end, table.temperature_shape),
        lr_scale=Schedule(1.0, rule.lr_end_factor, rule.lr_shape, rule.lr_warmup),
        seed=config.seed,
        augment=augment,
    )
