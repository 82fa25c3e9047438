"""The config: every table and key of an experiment, with its default and its range.

This module imports neither torch nor pyro, so that the command line can check a config at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from bisnn_pyro.experiments.network_config import NetworkConfig
from bisnn_pyro.experiments.tables import Count, NonNegative, OpenTable, Positive, Reference, Table

ScheduleShape = Literal["constant", "linear", "exponential", "cosine"]


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
    settings: dict[str, Any] = Field(default_factory=dict)


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
    settings: dict[str, Any] = Field(default_factory=dict)


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
    noise: list[NonNegative] = Field(default_factory=list)
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
    tune: dict[str, Range | list[Any]] = Field(default_factory=dict)
    seed: Annotated[int, Field(ge=0)] = 0

    @property
    def fold(self) -> int | None:
        """Which fold of the data is the test set (``data.fold``); None where the config does not say."""
        return self.data.settings.get("fold")

    @property
    def data_settings(self) -> dict[str, Any]:
        """The table ``[data]`` without the place of a published set's files; one's own keep their name.

        Nor is ``cache`` in it, which changes no result.
        """
        data = self.data.model_dump()
        data.pop("cache", None)
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
