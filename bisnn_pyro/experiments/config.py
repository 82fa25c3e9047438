"""The config: every table and key of an experiment, with its default and its range.

This module imports neither torch nor pyro, so that the command line can check a config at once.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

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


class NetworkConfig(Table):
    """The network; input size and number of classes come from the data."""

    name: Literal["dense"] | Reference = "dense"
    hidden: Annotated[list[Count], Field(min_length=1)] = [256, 256]
    neuron: Literal["threshold", "escape"] | Reference = "threshold"
    surrogate: Literal["boxcar", "sigmoid", "fast-sigmoid", "triangle", "arctan"] = "boxcar"
    surrogate_width: Positive = 0.5
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
            "gaussian",
        ]
        | Reference
    ) = "steps"
    noise: Positive = 0.3
    delta: Positive = 1.0
    period: Count = 2
    settings: dict[str, Any] = {}


class GuideConfig(Table):
    """The posterior; keys that a guide does not know are ignored by it."""

    name: Literal["relaxed", "straight-through", "gaussian", "full-precision"] = "relaxed"
    temperature: Positive = 1.0
    temperature_end: Positive | None = None
    temperature_shape: ScheduleShape = "constant"
    hard: bool = False
    init_scale: NonNegative | None = None
    init_deviation: Positive = 0.1
    clip: Positive | None = None


class RuleConfig(Table):
    """How the guide's parameters move.

    ``auto`` is the Bayesian learning rule for relaxed guides and Adam for others.  ``lr`` is for the
    undivided loss (a sum over the data set), 0.1 or 0.01 if not given; ``lr_end_factor`` is what a
    schedule multiplies it with at the end.  ``other_lr`` is Adam's for parameters that are no synapses.
    """

    name: Literal["auto", "bayesian", "adam", "sgd"] | Reference = "auto"
    lr: Positive | None = None
    lr_end_factor: NonNegative = 1.0
    lr_shape: ScheduleShape = "constant"
    lr_warmup: Annotated[float, Field(ge=0, lt=1)] = 0.0
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    max_step: Positive | None = None
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
    """What is computed from the draws."""

    bins: Count = 15
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

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for TOML, which has no null: what is ``None`` is left out."""
        return self.model_dump(exclude_none=True)
