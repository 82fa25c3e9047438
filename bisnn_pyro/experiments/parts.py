"""From a table of a config to the object that it describes.

A table's ``name`` is a built-in of :data:`PARTS` or a class of the user's own, ``package.module:Class``.  Its
other keys are parameters of that class: names, types and defaults come from the signature, meanings from the
docstring.  Parameters that the builder supplies, such as the number of inputs, are not keys.

A class of the user's own is code.  It is imported only with the user's word (``trust``), and its type is
checked before it is called.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
import os
import re
import sys
import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any

from bisnn_pyro.errors import BisnnError, ConfigError
from bisnn_pyro.experiments.config import Table, nearest

MISSING = inspect.Parameter.empty


def _listed(module: str, pairs: str) -> dict[str, str]:
    """Return ``{name: "module:Object"}`` of ``name=Object`` pairs."""
    return {name: f"{module}:{part}" for name, _, part in (pair.partition("=") for pair in pairs.split())}


PARTS: dict[str, dict[str, str]] = {
    "data": _listed(
        "bisnn_pyro.data",
        "two-moons=two_moons curve=curve digits=handwritten_digits npz=load_npz mat=load_mat mnist=mnist "
        "fashion-mnist=fashion_mnist nmnist=nmnist poker-dvs=poker_dvs mnist-dvs=mnist_dvs "
        "dvs-gesture=dvs_gesture shd=shd events=event_folder",
    ),
    "encoder": _listed(
        "bisnn_pyro.data",
        "population=PopulationEncoder rate=BernoulliRateEncoder latency=LatencyEncoder "
        "direct=DirectEncoder standard=StandardEncoder spikes=SpikesEncoder",
    ),
    "augment": _listed("bisnn_pyro.data", "=SpikeAugmentation"),
    "network": _listed("bisnn_pyro.models", "dense=SpikingGLM sign=SignNetwork"),
    "layer": _listed("bisnn_pyro.models", "dense=Dense conv=Conv"),
    "neuron": _listed(
        "bisnn_pyro.models", "threshold=ThresholdNeuron escape=EscapeNeuron single-step=SingleStepNeuron"
    ),
    "surrogate": _listed(
        "bisnn_pyro.models",
        "boxcar=Boxcar sigmoid=Sigmoid fast-sigmoid=FastSigmoid triangle=Triangle arctan=Arctan "
        "single-step=SingleStep",
    ),
    "prior": _listed("bisnn_pyro.models", "binary=BinaryPrior normal=NormalPrior posterior=PosteriorPrior"),
    "likelihood": _listed(
        "bisnn_pyro.models",
        "steps=steps rate=rate bernoulli-steps=BernoulliSteps categorical-steps=CategoricalSteps "
        "bernoulli-rate=BernoulliRate categorical-rate=CategoricalRate spike-train=SpikeTrainBernoulli "
        "probit=CategoricalProbit dirichlet=NoisyDirichlet gaussian=Gaussian",
    ),
    "guide": _listed(
        "bisnn_pyro.inference",
        "relaxed=AutoRelaxedSign rank-one=AutoRankOneMixture straight-through=AutoStraightThrough "
        "gaussian=AutoMeanFieldGaussian full-precision=AutoFullPrecision ebp=AutoExpectationSign "
        "ebp-real=AutoExpectationNormal flips=AutoUniformFlips scaled-latents=AutoScaledLatents "
        "sign-swag=AutoSignSWAG laplace=AutoBernoulliLaplace checkpoints=AutoCheckpoints "
        "dropout=AutoDropout last-layer=AutoBayesianLastLayer",
    ),
    "rule": _listed(
        "bisnn_pyro.inference", "bayesian=BayesianLearningRule bimu=BiMU expectation=ExpectationSteps"
    )
    | _listed("torch.optim", "adam=Adam sgd=SGD"),
    "train": _listed("bisnn_pyro.inference", "=TrainSettings"),
    "predict": _listed("bisnn_pyro.experiments.config", "=PredictSettings"),
    "analysis": _listed("bisnn_pyro.experiments.config", "=AnalysisSettings"),
    "tune": _listed("bisnn_pyro.experiments.config", "=Range"),
    "distil": _listed("bisnn_pyro.experiments.config", "=DistilSettings"),
}
"""Built-in parts of each kind, imported at their first use; a kind without names has one, ``""``."""

DEFAULTS: dict[tuple[str, str], dict[str, Any]] = {
    ("network", "dense"): {"hidden": [256, 256]},
    ("network", "sign"): {"hidden": [256, 256]},
    ("rule", "adam"): {"lr": 0.01},
    ("rule", "sgd"): {"lr": 0.01},
}
"""Defaults that are not the signature's own."""

SUPPLIED: dict[str, tuple[str, ...]] = {
    "augment": ("image_shape",),
    "network": ("n_inputs", "likelihood", "prior", "neuron", "surrogate", "image_shape"),
    "neuron": ("surrogate",),
    "prior": ("naturals",),
    "likelihood": ("n_classes", "neuron"),
    "guide": ("model", "batch_size"),
    "rule": ("params", "prior", "dataset_size", "batch_size"),
}
"""Parameters that :mod:`bisnn_pyro.experiments.build` gives to those parts that take them."""

SHARED: dict[str, str] = {"guide": "bisnn_pyro.experiments.config:MixtureSettings"}
"""Classes whose parameters are keys of every part of a kind; builders read them, constructors do not."""

BASES: dict[str, tuple[str, ...]] = {
    "encoder": ("bisnn_pyro.data:Encoder",),
    "network": ("bisnn_pyro.models:SpikingGLM",),
    "neuron": ("bisnn_pyro.models:Neuron",),
    "surrogate": ("bisnn_pyro.models:Surrogate",),
    "prior": ("bisnn_pyro.models:Prior",),
    "likelihood": ("bisnn_pyro.models:Likelihood",),
    "guide": ("bisnn_pyro.inference:SynapticGuide",),
    "rule": ("torch.optim:Optimizer", "bisnn_pyro.inference:Updater"),
}
"""Base classes of a user's own class; a data set of their own is a function that returns a task."""


class Key(typing.NamedTuple):
    """A key of a table: a parameter that a config can set.

    Attributes:
        default: :data:`MISSING` if the key must be given.
        annotation: The type.
        meaning: The entry in the docstring.
    """

    default: Any
    annotation: Any
    meaning: str = ""


def where(kind: str) -> str:
    """Return the table that describes a part of this kind, for example ``network.neuron``."""
    return f"network.{kind}" if kind in ("neuron", "surrogate") else kind


# -- names ------------------------------------------------------------------------------------------


def find(kind: str, name: str = "", *, trust: bool = False) -> Any:
    """Return the class or function that a name stands for.

    Args:
        kind: a key of :data:`PARTS`.
        name: a built-in's name, or ``package.module:Class``.
        trust: allow the import of a class of the user's own.

    Raises:
        ConfigError: if there is no such part, it must not be imported, or it is of another kind.

    Example:
        >>> find("neuron", "escape").__name__
        'EscapeNeuron'
    """
    key, built_in = f"{where(kind)}.name", PARTS[kind]
    if isinstance(name, str) and name in built_in:
        return _imported(built_in[name])
    if not isinstance(name, str) or not re.fullmatch(r"[\w.]+:\w+", name):
        own = ", or 'package.module:Class'" if kind in (*BASES, "data") else ""
        known = ", ".join(built_in)
        raise ConfigError(f"{key} = {_toml(name)} is not one of {known}{own}{nearest(name, built_in)}")
    if not trust:
        raise ConfigError(
            f"{key} = {name!r} is code from outside this package, which importing would run; if you trust "
            "it, allow it with --trust-code (in Python: trust=True)"
        )
    found = _own(key, name)
    bases = tuple(map(_imported, BASES.get(kind, ())))
    if not (inspect.isclass(found) and issubclass(found, bases) if bases else inspect.isfunction(found)):
        wanted = " or ".join(f"a subclass of {b.__module__}.{b.__qualname__}" for b in bases)
        raise ConfigError(f"{key} names {found!r}; it must be {wanted or 'a function that returns a Task'}")
    return found


def _imported(reference: str) -> Any:
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)


def _own(key: str, reference: str) -> Any:
    """Import from ``sys.path``, and from the current folder after all others."""
    before = sys.path.copy()
    sys.path.append(os.getcwd())
    try:
        return _imported(reference)
    except Exception as error:  # whatever a user's module raises at import
        problem = f"{type(error).__name__}: {error}"
        raise ConfigError(f"{key} = {reference!r} cannot be imported: {problem}") from error
    finally:
        sys.path[:] = before


# -- keys -------------------------------------------------------------------------------------------


def keys(kind: str, name: str = "", *, trust: bool = False) -> dict[str, Key]:
    """Return the keys of the table that describes a part.

    Example:
        >>> key = keys("neuron", "escape")["delta"]
        >>> key.default, key.annotation
        (0.25, <class 'float'>)
    """
    usual = DEFAULTS.get((kind, name), {})
    target = find(kind, name, trust=trust)
    return {
        key: k._replace(default=usual.get(key, k.default))
        for key, k in (_parameters(target) | shared(kind, target)).items()
        if key not in SUPPLIED.get(kind, ())
    }


def shared(kind: str, target: Any) -> dict[str, Key]:
    """Return the keys that builders read (:data:`SHARED`); none if the part has one of them itself."""
    found = _parameters(_imported(SHARED[kind])) if kind in SHARED else {}
    return {} if found.keys() & _parameters(target).keys() else found


def takes(target: Any, name: str) -> bool:
    """Whether a class or function has this parameter."""
    return name in _parameters(target)


def usual_surrogate(target: Any) -> str:
    """Return the name of the surrogate that a neuron or network has by default."""
    default = type(_parameters(target)["surrogate"].default)
    known = [name for name, path in PARTS["surrogate"].items() if default is _imported(path)]
    return known[0] if known else "boxcar"


@cache
def _parameters(target: Any) -> dict[str, Key]:
    """Return the parameters of a class or function; ``**kwargs`` of a subclass are its base class's."""
    found: dict[str, Key] = {}
    is_class, meanings = inspect.isclass(target), _meanings(target)
    bases = (
        [vars(base)["__init__"] for base in target.__mro__ if "__init__" in vars(base)] if is_class else []
    )
    for source in bases or [target]:
        try:
            hints = typing.get_type_hints(source if inspect.isroutine(source) else type(source).__call__)
        except NameError:  # names that exist for type checkers alone
            hints = {}
        listed = list(inspect.signature(source).parameters.values())[is_class:]
        for parameter in listed:
            if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                name, annotation = parameter.name, hints.get(parameter.name, parameter.annotation)
                found.setdefault(name, Key(parameter.default, annotation, meanings.get(name, "")))
        if not any(parameter.kind == parameter.VAR_KEYWORD for parameter in listed):
            break
    return found


def _meanings(target: Any) -> dict[str, str]:
    """Return the entries of a Google docstring's ``Args`` or ``Attributes``, with those of base classes."""
    found: dict[str, str] = {}
    for source in reversed(getattr(target, "__mro__", (target,))):
        for text in (source.__doc__, getattr(vars(source).get("__init__"), "__doc__", None)):
            sections = re.findall(
                r"^(?:Args|Attributes):\n((?:(?: {4}.*)?\n?)+)", inspect.cleandoc(text or ""), re.MULTILINE
            )
            for section in sections:
                _, *entries = re.split(r"^ {4}(\w+)(?: \(.*\))?: ", section, flags=re.MULTILINE)
                found |= {k: " ".join(v.split()) for k, v in zip(entries[::2], entries[1::2], strict=True)}
    return found


# -- values -----------------------------------------------------------------------------------------


def complete(kind: str, table: Mapping[str, Any], *, trust: bool = False) -> dict[str, Any]:
    """Return a table with every default written out.

    Args:
        kind: a key of :data:`PARTS`.
        table: the name and any of the keys.
        trust: allow the import of a class of the user's own.

    Raises:
        ConfigError: if the name, a key or a value is wrong, or a key without a default is missing; the
            message names the nearest right one.

    Example:
        >>> complete("surrogate", {"name": "boxcar"})
        {'name': 'boxcar', 'width': 0.5}
    """
    name, known, given = _opened(kind, table, trust)
    values = {key: _written(k.default) for key, k in known.items()}
    values |= {key: _value(f"{where(kind)}.{key}", v, known[key], build=False) for key, v in given.items()}
    return ({"name": name} if name else {}) | {key: v for key, v in values.items() if v is not None}


def make(kind: str, table: Mapping[str, Any], *, trust: bool = False, **supplied: Any) -> Any:
    """Return the object that a table describes.

    Args:
        kind: a key of :data:`PARTS`.
        table: the name and any of the keys.
        trust: allow the import of a class of the user's own.
        **supplied: parameters that are not keys; those that the part does not take are left out.

    Raises:
        ConfigError: as for :func:`complete`, or if the constructor fails.

    Example:
        >>> make("surrogate", {"name": "triangle", "width": 0.3})
        Triangle(width=0.3)
    """
    name, known, given = _opened(kind, table, trust)
    target = find(kind, name, trust=trust)
    given = DEFAULTS.get((kind, name), {}) | {k: v for k, v in given.items() if k not in shared(kind, target)}
    settings = {key: _value(f"{where(kind)}.{key}", v, known[key], build=True) for key, v in given.items()}
    settings |= {key: value for key, value in supplied.items() if takes(target, key)}
    try:
        return target(**settings)
    except BisnnError as error:
        if kind == "data" or f"{where(kind)}." in str(error):
            raise
        raise type(error)(f"{_title(kind, name)}: {error}") from error
    except Exception as error:
        raise ConfigError(f"{_title(kind, name)} failed: {type(error).__name__}: {error}") from error


def stand_ins() -> dict[str, Any]:
    """Return what a rule is built with, to check its settings before there is a network."""
    import torch

    parameter = torch.nn.Parameter(torch.zeros(1))
    return {"params": [parameter], "prior": 0.0, "dataset_size": 1, "batch_size": 1}


def _opened(kind: str, table: Mapping[str, Any], trust: bool) -> tuple[str, dict[str, Key], dict[str, Any]]:
    """Return a table's name, the keys that there are, and those that are given."""
    name = table.get("name", "")
    if not isinstance(name, str) or ("" in PARTS[kind] and "name" in table):
        raise ConfigError(
            f"{where(kind)}.name = {_toml(name)}: {'no such key' if '' in PARTS[kind] else 'a name is text'}"
        )
    known, given = keys(kind, name, trust=trust), {key: v for key, v in table.items() if key != "name"}
    for key in given:
        if key not in known:
            raise ConfigError(f"unknown key {key!r} in {_title(kind, name)}{_right_key(kind, key, known)}")
    for key, k in known.items():
        if k.default is MISSING and key not in given:
            raise ConfigError(f"{_title(kind, name)} needs the key {key!r}")
    return name, known, given


def _title(kind: str, name: str) -> str:
    return f"[{where(kind)}]" + (f" with name = {name!r}" if name else "")


def _right_key(kind: str, key: str, known: Mapping[str, Key]) -> str:
    """Say which key was meant, or which table has it."""
    if hint := nearest(key, known):
        return hint
    for other in (kind, *(k for k in PARTS if k not in (kind, "data", "layer", "tune"))):
        if names := [name for name in PARTS[other] if key in keys(other, name)]:
            chosen = f" with name = {' or '.join(map(repr, names))}" if names != [""] else ""
            return f"; it is a key of [{where(other)}]{chosen}"
    return f"; its keys are {', '.join(known)}" if known else "; it has no keys"


def _value(place: str, value: Any, key: Key, *, build: bool) -> Any:
    """Return a checked value, for the constructor (``build``) or for a TOML file."""
    members = _members(key.annotation)
    tables = [member for member in members if dataclasses.is_dataclass(member)]
    if tables and isinstance(value, Mapping):
        return _nested(place, value, key, tables, build)
    items = next((args[0] for m in members if len(args := typing.get_args(m)) == 1), None)
    if isinstance(value, list | tuple) and any(map(dataclasses.is_dataclass, _members(items))):
        return [_value(f"{place}[{i}]", v, Key(MISSING, items), build=build) for i, v in enumerate(value)]
    plain = tuple(member for member in members if member not in tables)
    try:
        if not plain:
            raise ValueError("a table alone")
        checked = _in_range(_adapter(typing.Union.__getitem__(plain)).validate_json(_toml(value)))
    except ValueError as error:
        choices = [c for m in members if typing.get_origin(m) is typing.Literal for c in typing.get_args(m)]
        expected = in_words(key.annotation) + nearest(value, choices)
        raise ConfigError(f"{place} = {_toml(value)} must be {expected}") from error
    return checked if build else _written(checked)


def _in_range(value: Any) -> Any:
    """Refuse numbers that single precision does not have: they would be 0 or infinite in training."""
    for number in value if isinstance(value, list | tuple) else (value,):
        if isinstance(number, float) and number and not 1.2e-38 < abs(number) < 3.4e38:
            raise ValueError("not in single precision")
    return value


def _nested(place: str, value: Mapping[str, Any], key: Key, tables: list[Any], build: bool) -> Any:
    """Return what a table in place of a value describes: a schedule, or a layer by its ``kind``."""
    given, target, kind = dict(value), tables[0], {}
    if len(tables) > 1:
        kind = {"kind": given.pop("kind", None)}
        if kind["kind"] not in PARTS["layer"]:
            known_kinds = " or ".join(f"kind = {name!r}" for name in PARTS["layer"])
            raise ConfigError(f"{place} lacks {known_kinds}{nearest(kind['kind'], PARTS['layer'])}")
        target = _imported(PARTS["layer"][kind["kind"]])
    known = _parameters(target)
    if isinstance(key.default, target):
        given = (_written(key.default) or {}) | given
    elif isinstance(key.default, int | float):
        given = {next(iter(known)): key.default} | given
    for name in given:
        if name not in known:
            its_keys = ", ".join(known)
            raise ConfigError(f"unknown key {name!r} in {place}{nearest(name, known)}; its keys: {its_keys}")
    for name, k in known.items():
        if k.default is MISSING and name not in given:
            raise ConfigError(f"{place} lacks the key {name!r}")
    values = {n: _value(f"{place}.{n}", v, known[n], build=True) for n, v in given.items()}
    try:
        made = target(**values)
    except BisnnError as error:
        raise ConfigError(f"{place}: {error}") from error
    return made if build else kind | _written(made)


def _written(value: Any) -> Any:
    """Return a value as a TOML file can have it, or ``None``."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {k: w for k, v in vars(value).items() if (w := _written(v)) is not None}
    if isinstance(value, list | tuple):
        return [_written(item) for item in value]
    return value if isinstance(value, bool | int | float | str | dict) else None


@cache
def _adapter(annotation: Any) -> Any:
    from pydantic import ConfigDict, TypeAdapter

    settings = ConfigDict(strict=True, arbitrary_types_allowed=True, allow_inf_nan=False)
    return TypeAdapter(annotation, config=settings)


def _members(annotation: Any) -> list[Any]:
    """Return the alternatives of a type, without ``None``."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [member for part in typing.get_args(annotation) for member in _members(part)]
    return [] if annotation in (None, types.NoneType) else [Any if annotation is MISSING else annotation]


def in_words(annotation: Any) -> str:
    """Return a type in words, for messages and for the reference page.

    Example:
        >>> in_words(list[int] | None)
        'a list (a whole number)'
    """
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "text", Any: "anything"}
    found = []
    for member in _members(annotation):
        origin, args = typing.get_origin(member) or member, typing.get_args(member)
        if origin is typing.Literal:
            found += [f"'{choice}'" for choice in args]
        elif dataclasses.is_dataclass(member):
            found.append(f"a table {{ {', '.join(f.name for f in dataclasses.fields(member))} }}")
        elif args and origin not in (dict, os.PathLike):
            found.append(f"a list ({in_words(args[0])})")
        else:
            found.append({dict: "a table", os.PathLike: "a path"}.get(origin, words.get(member, "")))
    *first, last = [word for word in dict.fromkeys(found) if word] or ["anything"]
    return f"{', '.join(first)} or {last}" if first else last


def _toml(value: Any) -> str:
    """Return a value as a TOML file has it."""
    return json.dumps(value.to_dict() if isinstance(value, Table) else value, default=str)
