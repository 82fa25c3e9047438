"""From a config and a task to a model, a guide, optimisers and a learner."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

from bisnn_pyro.data import SpikeAugmentation, StandardEncoder, Task, load_task, make_encoder
from bisnn_pyro.data.encoders import Encoder
from bisnn_pyro.errors import BisnnError, ConfigError, DataError
from bisnn_pyro.experiments.config import (
    Config,
    ConvLayer,
    DenseLayer,
    GuideConfig,
    NetworkConfig,
    RuleConfig,
    Table,
)
from bisnn_pyro.inference import (
    AutoExpectationNormal,
    AutoExpectationSign,
    AutoFullPrecision,
    AutoGaussian,
    AutoRelaxedSign,
    AutoStraightThrough,
    BayesianLearningRule,
    BiMU,
    ExpectationLearner,
    Learner,
    Schedule,
    SynapticGuide,
    TrainSettings,
)
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

EXPECTATION_GUIDES = ("ebp", "ebp-real")

CLASS_LIKELIHOODS: dict[str, type[Any]] = {
    "bernoulli-steps": BernoulliSteps,
    "categorical-steps": CategoricalSteps,
    "bernoulli-rate": BernoulliRate,
    "categorical-rate": CategoricalRate,
}


def import_reference(reference: str, what: str) -> Any:
    """Return the object that ``package.module:Name`` names.

    Raises:
        ConfigError: if the module cannot be imported or has no such name.
    """
    module, _, name = reference.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except Exception as error:  # whatever a user's module raises at import
        raise ConfigError(f"{what} = {reference!r} cannot be imported: {error}") from error


def _own(what: str, value: Any, kind: type[Any]) -> Any:
    """Return a user's own part if it is of the right kind."""
    if not isinstance(value, kind):
        raise ConfigError(
            f"{what} is a {type(value).__name__}, which is no {kind.__module__}.{kind.__name__}"
        )
    return value


def _unused(what: str, settings: dict[str, Any]) -> None:
    """Refuse settings that nothing takes: they are for a user's own class."""
    if settings:
        raise ConfigError(f"{what} = {settings!r} is for a class of your own; the built-in one takes none")


def construct(what: str, make: Callable[..., Any], *arguments: Any, **settings: Any) -> Any:
    """Call a user's own class or a settings table's target; a refusal becomes a :class:`ConfigError`."""
    try:
        return make(*arguments, **settings)
    except BisnnError:
        raise
    except Exception as error:
        raise ConfigError(f"{what} cannot be made: {type(error).__name__}: {error}") from error


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
    if not _changed(config.augment, type(config.augment).model_fields):
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
        encoder = _own("encoder.name", construct("[encoder]", own, **config.encoder.settings), Encoder)
    else:
        encoder = make_encoder(config.encoder.name, **config.encoder.settings)
    if not isinstance(encoder, StandardEncoder):
        return encoder
    if isinstance(task, Task):
        return encoder.fit(task.train.x, task.image_shape)
    if task.standardiser is None:
        raise DataError("preprocessing.json lacks the key 'standardiser', which the encoder 'standard' needs")
    return encoder.fitted(task.standardiser)


def build_neuron(config: Config) -> Neuron:
    """Make the neuron of the hidden layers."""
    net = config.network
    constants = TimeConstants(net.tau_membrane, net.tau_synapse, net.tau_refractory)
    if ":" in net.neuron:
        own = import_reference(net.neuron, "network.neuron")
        made = construct("network.neuron", own, **net.settings.get("neuron", {}))
        return _own("network.neuron", made, Neuron)
    _unused("network.settings.neuron", net.settings.get("neuron", {}))
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
        return _own(
            "likelihood.name", construct("[likelihood]", own, task.n_classes, **table.settings), Likelihood
        )
    _unused("likelihood.settings", table.settings)
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


def build_model(config: Config, task: Task, encoder: Encoder) -> SpikingGLM:
    """Make the network; input size and classes come from the data."""
    net = config.network
    likelihood = build_likelihood(config, task)
    n_inputs = encoder.n_inputs(task.n_features)
    hidden = [build_layer(layer) for layer in net.hidden]
    if net.name == "sign":
        _unused("network.settings", net.settings)
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
        _unused("network.settings", {k: v for k, v in net.settings.items() if k != "neuron"})
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


def build_optimisers(
    config: Config, model: SpikingGLM, guide: SynapticGuide
) -> Sequence[torch.optim.Optimizer]:
    """Make the rule for the guide's parameters, and Adam for the model's own if it has any."""
    rule = config.rule
    synapses = list(guide.parameters())
    relaxed = config.guide.name == "relaxed"
    name = rule.name if rule.name != "auto" else ("bayesian" if relaxed else "adam")
    lr = rule.lr if rule.lr is not None else (0.1 if name == "bayesian" else 0.01)
    if name in ("bayesian", "bimu"):
        _unused("rule.settings", rule.settings)
        if not relaxed:
            raise ConfigError(
                f"rule.name = {name!r} moves natural parameters; the guide {config.guide.name!r} has none. "
                "Use 'adam' or 'sgd'"
            )
    if name == "bayesian":
        optimiser: torch.optim.Optimizer = BayesianLearningRule(
            synapses, lr, momentum=rule.momentum, max_step=rule.max_step
        )
    elif name == "bimu":
        optimiser = build_bimu(config, model, synapses)
    elif name == "adam":
        optimiser = construct("[rule]", torch.optim.Adam, synapses, lr, **rule.settings)
    elif name == "sgd":
        sgd = {"momentum": rule.momentum, **rule.settings}
        optimiser = construct("[rule]", torch.optim.SGD, synapses, lr, **sgd)
    else:
        own = import_reference(name, "rule.name")
        optimiser = construct("[rule]", own, synapses, lr=lr, **rule.settings)
    others = list(model.parameters())
    return [optimiser, torch.optim.Adam(others, rule.other_lr)] if others else [optimiser]


def build_bimu(config: Config, model: SpikingGLM, synapses: list[torch.nn.Parameter]) -> BiMU:
    """Make the BiMU rule, from the paper's loss (a sum over the mini-batch) to ours.

    Raises:
        ConfigError: if the KL would be counted twice, or the data set's size is not known.
    """
    rule, train = config.rule, config.train
    if train.kl_weight or train.kl_weight_end:
        raise ConfigError(
            "rule.name = 'bimu' pulls to the prior by itself (rule.memory), and train.kl_weight would do so "
            "again: set train.kl_weight = 0 and leave train.kl_weight_end out"
        )
    size = model.dataset_size
    if size is None:
        raise ConfigError("rule.name = 'bimu' needs the data set's size: set model.dataset_size first")
    return BiMU(
        synapses,
        1.0 if rule.lr is None else rule.lr,
        memory=rule.memory or size,
        likelihood_multiplier=rule.likelihood_multiplier * min(train.batch_size, size) / size,
        kl_multiplier=rule.kl_multiplier,
        lr_max=rule.lr_max,
        prior=0.5 * math.log(config.prior.p / (1 - config.prior.p)),
    )


def _changed(table: Table, keys: Iterable[str]) -> list[str]:
    """Return those keys of a table that somebody set to something else than their default."""
    usual = type(table)()
    return [key for key in keys if getattr(table, key) != getattr(usual, key)]


def _check_expectation(config: Config) -> None:
    """Refuse keys that somebody set in vain."""
    vain = [f"rule.{key}" for key in _changed(config.rule, RuleConfig.model_fields)]
    kl = ("kl_weight", "kl_weight_end", "kl_weight_shape", "kl_warmup")
    vain += [f"train.{key}" for key in _changed(config.train, kl)]
    vain += [f"guide.{key}" for key in _changed(config.guide, ("temperature", "temperature_end"))]
    if vain:
        raise ConfigError(
            f"guide.name = {config.guide.name!r} is fitted by expectation backpropagation, which has no "
            f"learning rate, no KL weight and no temperature: leave {', '.join(vain)} out"
        )


def _check_sign(config: Config) -> None:
    """Refuse keys of a spiking network, which one of sign units would ignore."""
    taken = {"name", "hidden", "surrogate", "surrogate_width", "settings"}
    vain = _changed(config.network, [key for key in NetworkConfig.model_fields if key not in taken])
    if vain:
        names = ", ".join(f"network.{key}" for key in vain)
        raise ConfigError(f"network.name = 'sign' has no use for {names}: leave it out")
    if not all(isinstance(layer, int) for layer in config.network.hidden):
        raise ConfigError("network.name = 'sign' has plain dense layers only: make network.hidden numbers")


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
