"""The config: every table and key of an experiment, with its default and its range.

This module imports neither torch nor pyro, so that the command line can check a config at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Reference = Annotated[str, Field(pattern=r"^[\w.]+:\w+$")]
"""A user's own class, ``package.module:Class``."""

ScheduleShape = Literal["constant", "linear", "exponential", "cosine"]


class Table(BaseModel):
    """A table of the config; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class OpenTable(BaseModel):
    """A table whose further keys belong to what its ``name`` selects, and are checked there."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str

    @property
    def settings(self) -> dict[str, Any]:
        """All keys but the name."""
        return dict(self.model_extra or {})


class AugmentConfig(Table):
    """Random changes of training examples, afresh each epoch; none by default.

    ``shift`` (pixels) and ``flip`` are for images and recordings with an image shape, ``time_shift`` and
    ``time_jitter`` (steps) and ``drop`` (a probability) for ready spikes.  What each assumes says
    :class:`bisnn_pyro.data.SpikeAugmentation`.
    """

    shift: Annotated[int, Field(ge=0)] = 0
    flip: bool = False
    time_shift: Annotated[int, Field(ge=0)] = 0
    time_jitter: Annotated[int, Field(ge=0)] = 0
    drop: Annotated[float, Field(ge=0, lt=1)] = 0.0


class DenseLayer(Table):
    """A dense hidden layer, with lateral synapses if ``recurrent``."""

    kind: Literal["dense"]
    units: Count
    recurrent: bool = False


class ConvLayer(Table):
    """A convolutional hidden layer; ``pool > 1`` pools its spikes over windows of that side."""

    kind: Literal["conv"]
    channels: Count
    kernel: Count
    stride: Count = 1
    padding: Annotated[int, Field(ge=0)] = 0
    pool: Count = 1
    pooling: Literal["max", "mean"] = "max"


def _kind_of_layer(layer: Any) -> Any:
    """Return which member of :data:`HiddenLayer` a value is meant to be."""
    if isinstance(layer, Table):
        return layer.kind  # type: ignore[attr-defined]
    return layer.get("kind") if isinstance(layer, dict) else "int"


HiddenLayer = Annotated[
    Annotated[Count, Tag("int")] | Annotated[DenseLayer, Tag("dense")] | Annotated[ConvLayer, Tag("conv")],
    Discriminator(
        _kind_of_layer,
        custom_error_type="kind_of_layer",
        custom_error_message="expected a number of units, or a table with kind = 'dense' or kind = 'conv'",
    ),
]
"""A number of units, which is a plain dense layer, or a table."""


class NetworkConfig(Table):
    """The network; input size and number of classes come from the data.

    ``dense`` is the spiking network.  ``hidden`` are its layers, first to last: numbers of units, or tables
    such as ``{kind = "conv", channels = 16, kernel = 5, pool = 2}`` and ``{kind = "dense", units = 256,
    recurrent = true}``; convolutions come first and are for images.

    ``sign`` is a network of sign units with a bias each and a trained read-out, in one step; of the keys only
    ``hidden`` and the surrogate's are for it.  The surrogate ``auto`` is ``boxcar``, or ``single-step`` for
    single-step neurons; ``surrogate_alpha`` is that one's, and ``threshold`` a single-step neuron's.
    """

    name: Literal["dense", "sign"] | Reference = "dense"
    hidden: Annotated[list[HiddenLayer], Field(min_length=1)] = [256, 256]
    neuron: Literal["threshold", "escape", "single-step"] | Reference = "threshold"
    surrogate: Literal["auto", "boxcar", "sigmoid", "fast-sigmoid", "triangle", "arctan", "single-step"] = (
        "auto"
    )
    surrogate_width: Positive = 0.5
    surrogate_alpha: Positive = 4.0
    threshold: Annotated[float, Field(allow_inf_nan=False)] = 1.0
    tau_membrane: Positive = 10.0
    tau_synapse: Positive = 6.0
    tau_refractory: Positive = 2.0
    reset: NonNegative = 1.0
    delta: Positive = 0.25
    credit: Literal["local", "end-to-end"] = "local"
    readout: Literal["random", "trained"] = "random"
    gain: Positive = 1.0
    readout_gain: Positive = 1.0
    bias: bool = False
    normalise: bool = False
    burn_in: Annotated[int, Field(ge=0)] = 0
    readout_seed: int = 0
    settings: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _named_surrogate(cls, values: Any) -> Any:
        """Write the surrogate's name where it is left to the neuron, so that a run's config says which."""
        if not isinstance(values, dict) or values.get("surrogate", "auto") != "auto":
            return values
        name = "single-step" if values.get("neuron") == "single-step" else "boxcar"
        return {**values, "surrogate": name}


class PriorConfig(Table):
    """The prior over synapses: ``p`` where they are binary, ``scale`` where they are real."""

    p: Annotated[float, Field(gt=0, lt=1)] = 0.5
    scale: Positive = 1.0


class LikelihoodConfig(Table):
    """The likelihood.

    ``steps`` and ``rate`` are Bernoulli for two classes and categorical otherwise.
    """

    name: (
        Literal[
            "steps",
            "rate",
            "bernoulli-steps",
            "categorical-steps",
            "bernoulli-rate",
            "categorical-rate",
            "spike-train",
            "probit",
            "gaussian",
        ]
        | Reference
    ) = "steps"
    noise: Positive = 0.3
    delta: Positive = 1.0
    period: Count = 2
    settings: dict[str, Any] = {}


class GuideConfig(Table):
    """The posterior; keys that a guide does not know are ignored by it.

    ``dropout`` is for ``ebp`` and ``ebp-real``: the probability that an input keeps its sign.
    """

    name: Literal["relaxed", "straight-through", "gaussian", "full-precision", "ebp", "ebp-real"] = "relaxed"
    temperature: Positive = 1.0
    temperature_end: Positive | None = None
    temperature_shape: ScheduleShape = "constant"
    hard: bool = False
    init_scale: NonNegative | None = None
    init_deviation: Positive = 0.1
    clip: Positive | None = None
    dropout: Annotated[float, Field(ge=0.5, le=1)] | None = None


class RuleConfig(Table):
    """How the guide's parameters move.

    ``auto`` is the Bayesian learning rule for relaxed guides and Adam for others.  ``lr`` is for the
    undivided loss (a sum over the data set), 0.1 or 0.01 if not given; ``lr_end_factor`` is what a
    schedule multiplies it with at the end.  ``other_lr`` is Adam's for parameters that are no synapses.

    ``bimu`` alone takes ``memory`` (updates; the data set's size if not given), ``likelihood_multiplier`` and
    ``kl_multiplier``, and ``lr_max``; its ``lr`` (1 if not given) and multipliers are for the paper's loss, a
    sum over the mini-batch, and ``train.kl_weight`` must be 0.
    """

    name: Literal["auto", "bayesian", "bimu", "adam", "sgd"] | Reference = "auto"
    lr: Positive | None = None
    lr_end_factor: NonNegative = 1.0
    lr_shape: ScheduleShape = "constant"
    lr_warmup: Annotated[float, Field(ge=0, lt=1)] = 0.0
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    max_step: Positive | None = None
    memory: Annotated[float, Field(ge=1, allow_inf_nan=False)] | None = None
    likelihood_multiplier: Positive = 1.0
    kl_multiplier: Positive = 1.0
    lr_max: Positive = 1.0
    other_lr: Positive = 0.01
    settings: dict[str, Any] = {}


class TrainConfig(Table):
    """The loop."""

    epochs: Count = 100
    batch_size: Count = 40
    particles: Count = 1
    window: Count | None = None
    window_kl_scale: NonNegative | None = None
    kl_weight: NonNegative = 1.0
    kl_weight_end: NonNegative | None = None
    kl_weight_shape: ScheduleShape = "constant"
    kl_warmup: Annotated[float, Field(ge=0, lt=1)] = 0.0
    validate_every: Count = 1
    validation_draws: Count = 10
    patience: Count | None = None
    restore_best: bool = True
    input_noise: NonNegative = 0.0
    reference_size: Count = 64
    checkpoint_every: Count = 10
    threads: Count | None = None


class PredictConfig(Table):
    """Prediction: number of members, and the seed of the test set's one encoding and of the draws."""

    draws: Count = 50
    seed: Annotated[int, Field(ge=0)] = 0


class AnalysisConfig(Table):
    """What is computed from the draws.

    ``temperature_scaling`` adds to each predictor of a classification one ``<predictor>-scaled``, at the
    temperature with the least NLL on the validation points.  ``early_decisions`` are the numbers of elapsed
    steps at which the test points are also decided, or how many of them to spread evenly over the sequence;
    none by default.
    """

    bins: Count = 15
    temperature_scaling: bool = False
    early_decisions: Annotated[int, Field(ge=0)] | list[Count] = 0
    noise: list[NonNegative] = []
    resolution: Annotated[int, Field(ge=2)] = 60
    figures: bool = True


class Range(Table):
    """An interval that ``bisnn tune`` searches, on a logarithmic scale if ``log``."""

    low: float
    high: float
    log: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError("needs low < high, and low > 0 where log = true")
        return self


class Config(Table):
    """One experiment with one method: what a run folder's ``config.toml`` holds."""

    experiment: Annotated[str, Field(pattern=r"^[\w][\w.-]*$")]
    description: str = ""
    method: str
    data: OpenTable
    encoder: OpenTable = OpenTable(name="population")
    augment: AugmentConfig = AugmentConfig()
    network: NetworkConfig = NetworkConfig()
    prior: PriorConfig = PriorConfig()
    likelihood: LikelihoodConfig = LikelihoodConfig()
    guide: GuideConfig = GuideConfig()
    rule: RuleConfig = RuleConfig()
    train: TrainConfig = TrainConfig()
    predict: PredictConfig = PredictConfig()
    analysis: AnalysisConfig = AnalysisConfig()
    tune: dict[str, Range | list[Any]] = {}
    seed: Annotated[int, Field(ge=0)] = 0

    @property
    def fold(self) -> int | None:
        """Which fold of the data is the test set (``data.fold``); None where the config does not say."""
        return self.data.settings.get("fold")

    @property
    def data_settings(self) -> dict[str, Any]:
        """The table ``[data]`` without the place of a published set's files; one's own keep their name."""
        data = self.data.model_dump()
        path = data.pop("path", None)
        if data["name"] in ("npz", "mat", "events") and path is not None:
            data["path"] = Path(path).name
        return data

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for TOML, which has no null: what is ``None`` is left out."""
        return self.model_dump(exclude_none=True)


def flat_keys(tables: dict[str, Any], prefix: str = "") -> set[tuple[str, str]]:
    """Return all (dotted key, value) pairs of nested tables, values as text."""
    pairs: set[tuple[str, str]] = set()
    for key, value in tables.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            pairs |= flat_keys(value, f"{name}.")
        else:
            pairs.add((name, repr(value)))
    return pairs
