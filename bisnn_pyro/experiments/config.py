"""The config of one run: plain tables, resolved and complete, which import nothing to read.

:func:`bisnn_pyro.experiments.resolve.resolve` makes it from a preset or a TOML file; a run folder's
``config.toml`` is one.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from bisnn_pyro.data.out_of_range import ACTIONS
from bisnn_pyro.errors import ConfigError


def nearest(name: object, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the most similar known name, or nothing."""
    near = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


class Table(Mapping[str, Any]):
    """A read-only table of a config, with attribute and item access; ``None`` is an absent key.

    Example:
        >>> train = Table({"epochs": 5, "window": None})
        >>> train.epochs, train["epochs"], train.get("window")
        (5, 5, None)
    """

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, Any] = {}) -> None:
        self._values = {key: _frozen(value) for key, value in values.items() if value is not None}

    def __getitem__(self, key: str) -> Any:
        """Return a value or sub-table."""
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys."""
        return iter(self._values)

    def __len__(self) -> int:
        """Return the number of keys."""
        return len(self._values)

    def __getattr__(self, key: str) -> Any:
        """Return a value or sub-table."""
        if key.startswith("_") or key not in self._values:
            raise AttributeError(f"the table has no key {key!r}{'' if key[0] == '_' else nearest(key, self)}")
        return self._values[key]

    def __repr__(self) -> str:
        """Return the table as a dict."""
        return f"Table({self.to_dict()})"

    @property
    def settings(self) -> dict[str, Any]:
        """All keys but the name, as plain values."""
        return {key: value for key, value in self.to_dict().items() if key != "name"}

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {key: _plain(value) for key, value in self._values.items()}


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return Table(value)
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value


def _plain(value: Any) -> Any:
    if isinstance(value, Table):
        return value.to_dict()
    return list(map(_plain, value)) if isinstance(value, tuple) else value


SCHEMES = ("independent", "latin-hypercube")
"""Values of ``predict.scheme``: those of ``SynapticGuide.sample_posterior``, without an import of torch."""


@dataclass(frozen=True)
class PredictSettings:
    """How a finished run predicts.

    Args:
        draws: Members of the committee.
        seed: Seed of the test points' one encoding and of the members.
        scheme: How members are drawn: ``independent``, or ``latin-hypercube``, which spreads them over the
            posterior of each synapse, so that the vote varies less.
        on_out_of_range: What happens to new inputs outside the range of the training set: ``clip``, with a
            warning if there are many, ``refuse`` or ``pass``.
    """

    draws: int = 50
    seed: int = 0
    scheme: str = "latin-hypercube"
    on_out_of_range: str = "clip"

    def __post_init__(self) -> None:
        _check_at_least("predict.draws", self.draws, 1)
        _check_at_least("predict.seed", self.seed, 0)
        for key, known in (("scheme", SCHEMES), ("on_out_of_range", ACTIONS)):
            if (value := getattr(self, key)) not in known:
                listed = " or ".join(map(repr, known))
                raise ConfigError(f"predict.{key} = {value!r}; expected {listed}{nearest(value, known)}")


@dataclass(frozen=True)
class AnalysisSettings:
    """What is computed from the predictions.

    Args:
        bins: Bins of calibration errors and reliability diagrams.
        temperature_scaling: Add to each predictor of a classification another one, ``<predictor>-scaled``, at
            the temperature with the least NLL on the validation points.
        sharpening: Add to the committee of a classification with binary synapses another one,
            ``committee-sharpened``, whose natural parameters are multiplied by the factor, 1 or more, with
            the least NLL on the validation points.
        early_decisions: Numbers of elapsed steps at which the test points are also decided, or how many of
            them to spread evenly over the sequence; 0 for none.
        noise: Standard deviations of input noise at which the test points are also scored.
        resolution: Points along each side of a map over two features.
        figures: Draw figures.
    """

    bins: int = 15
    temperature_scaling: bool = False
    sharpening: bool = False
    early_decisions: int | Sequence[int] = 0
    noise: Sequence[float] = ()
    resolution: int = 60
    figures: bool = True

    def __post_init__(self) -> None:
        steps = self.early_decisions
        smallest = steps if isinstance(steps, int) else min(steps, default=1) - 1
        _check_at_least("analysis.bins", self.bins, 1)
        _check_at_least("analysis.early_decisions", smallest, 0)
        _check_at_least("analysis.noise", min(self.noise, default=0), 0)
        _check_at_least("analysis.resolution", self.resolution, 2)


@dataclass(frozen=True)
class DistilSettings:
    """Whose votes a network is trained on.

    Args:
        teacher: Folder of the finished run whose votes are training targets, in place of the labels.
        mix: Share s of the votes in the targets, s vote + (1 - s) one-hot label.
        predictor: The teacher's predictor that votes; its first if it is not given.
        sha256: SHA-256 of the teacher's ``posterior.safetensors``; another posterior is refused.
    """

    teacher: str
    mix: float = 1.0
    predictor: str | None = None
    sha256: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.mix <= 1:
            raise ConfigError(f"distil.mix must be in [0, 1], not {self.mix}")


@dataclass(frozen=True)
class MixtureSettings:
    """The components of a mixture of posteriors, keys of every ``[guide]`` whose class has none of its own.

    Args:
        components: Number of posteriors that are trained one after another and vote together, each with a
            network, a likelihood and a training seed of its own.  Several point estimates are a deep
            ensemble.
        seeds: Training seeds of the components; by default the run's own and others derived from it.
    """

    components: int | None = None
    seeds: Sequence[int] | None = None

    def __post_init__(self) -> None:
        _check_at_least("guide.components", 1 if self.components is None else self.components, 1, 1000)
        if self.seeds is None:
            return
        _check_at_least("guide.seeds", min(self.seeds, default=0), 0)
        if len(self.seeds) != (self.components or 1) or len(set(self.seeds)) < len(self.seeds):
            raise ConfigError(
                f"guide.seeds = {list(self.seeds)} must hold one seed for each of guide.components = "
                f"{self.components or 1}, all different"
            )


@dataclass(frozen=True)
class Range:
    """An interval that ``bisnn tune`` searches.

    Args:
        low: Lower end.
        high: Upper end.
        log: Search on a logarithmic scale.
        integer: Search whole numbers, as ``train.epochs`` needs.
    """

    low: float
    high: float
    log: bool = False
    integer: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ConfigError("an interval to tune needs low < high, and low > 0 if log = true")


def _check_at_least(key: str, value: float, low: int, high: float = math.inf) -> None:
    if value < low:
        raise ConfigError(f"{key} must be at least {low}, not {value}")
    if value > high:
        raise ConfigError(f"{key} must be at most {high}, not {value}")


@dataclass(frozen=True)
class Config:
    """One experiment with one method and one seed: what a run folder's ``config.toml`` holds.

    Every table is complete, defaults written out.  ``network`` has the sub-tables ``neuron`` and
    ``surrogate`` if the network takes them.

    Example:
        >>> from bisnn_pyro import load_preset
        >>> config = load_preset("two-moons", "bayes", train={"epochs": 5})
        >>> config.train.epochs, config.guide.name, config.network.neuron.tau_membrane
        (5, 'relaxed', 10.0)
    """

    experiment: str
    method: str
    data: Table
    encoder: Table
    network: Table
    prior: Table
    likelihood: Table
    guide: Table
    rule: Table
    train: Table
    augment: Table = field(default_factory=Table)
    predict: Table = field(default_factory=Table)
    analysis: Table = field(default_factory=Table)
    tune: Table = field(default_factory=Table)
    distil: Table = field(default_factory=Table)
    description: str = ""
    seed: int = 0

    @classmethod
    def from_dict(cls, tables: Mapping[str, Any]) -> Config:
        """Return the config of complete tables, such as a run folder's; nothing is imported or checked.

        Raises:
            ConfigError: if a table or key at the top level is missing or unknown.
        """
        check_top_level(tables)
        values: dict[str, Any] = {k: Table(v) if k in TABLES else v for k, v in tables.items()}
        try:
            return cls(**values)
        except TypeError as error:
            missing = [f.name for f in fields(cls) if f.default is f.default_factory is MISSING]
            lacking = ", ".join(name for name in missing if name not in values)
            raise ConfigError(f"the config lacks {lacking}") from error

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for TOML, which has no null: a key that is ``None`` is left out."""
        tables = {name: getattr(self, name).to_dict() for name in TABLES}
        return {name: getattr(self, name) for name in SCALARS} | {k: v for k, v in tables.items() if v}

    @property
    def fold(self) -> int | None:
        """Which fold of the data is the test set (``data.fold``); ``None`` if the config does not say."""
        return self.data.get("fold")

    @property
    def n_folds(self) -> int | None:
        """The number of folds (``data.n_folds``); ``None`` if the config does not say."""
        return self.data.get("n_folds")

    @property
    def data_settings(self) -> dict[str, Any]:
        """The table ``[data]`` without ``cache`` and without the path of a published set.

        Neither changes a result.  The path of a user's own file is reduced to the file's name.
        """
        data = self.data.to_dict()
        data.pop("cache", None)
        path = data.pop("path", None)
        own = data["name"] in ("npz", "mat", "events") or ":" in data["name"]
        if own and path is not None:
            data["path"] = Path(path).name
        return data

    def value(self, key: str) -> Any:
        """Return the value of a dotted key, for example ``"train.kl_weight"``; ``None`` if it is absent."""
        found: Any = self.to_dict()
        for part in key.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        return found

    def replace(self, key: str, value: Any) -> Config:
        """Return a copy with another value at a dotted key; the value is not checked."""
        name, *parts = key.split(".")
        return replace(self, **{name: _with(getattr(self, name), parts, value)})


SCALARS = ("experiment", "description", "method", "seed")
TABLES = tuple(f.name for f in fields(Config) if f.name not in SCALARS)


def check_top_level(tables: Mapping[str, Any]) -> None:
    """Refuse unknown keys at the top level, and what is not a table but should be."""
    for key, value in tables.items():
        if key not in (*SCALARS, *TABLES):
            raise ConfigError(f"unknown key {key!r} at the top level{nearest(key, (*SCALARS, *TABLES))}")
        if key in TABLES and not isinstance(value, Mapping):
            raise ConfigError(f"[{key}] is a table, not {value!r}; set one of its keys: {key}.KEY=VALUE")


def _with(old: Any, parts: list[str], value: Any) -> Any:
    if not parts:
        return Table(value) if isinstance(value, Mapping) else value
    table = old if isinstance(old, Table) else Table()
    return Table({**table, parts[0]: _with(table.get(parts[0]), parts[1:], value)})


def flat_keys(tables: Mapping[str, Any], prefix: str = "") -> set[tuple[str, str]]:
    """Return all (dotted key, value) pairs of nested tables, values as text."""
    pairs: set[tuple[str, str]] = set()
    for key, value in tables.items():
        name = f"{prefix}{key}"
        pairs |= flat_keys(value, f"{name}.") if isinstance(value, Mapping) else {(name, repr(value))}
    return pairs
