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
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any, Literal

from bisnn_pyro.errors import BisnnError, ConfigError
from bisnn_pyro.experiments.config import Table, nearest

MISSING = inspect.Parameter.empty

PARTS: dict[str, dict[str, str]] = {
    "data": {
        "two-moons": "bisnn_pyro.data.synthetic:two_moons",
        "curve": "bisnn_pyro.data.synthetic:curve",
        "digits": "bisnn_pyro.data.images:handwritten_digits",
        "npz": "bisnn_pyro.data.arrays:load_npz",
        "mat": "bisnn_pyro.data.matlab:load_mat",
        "mnist": "bisnn_pyro.data.images:mnist",
        "fashion-mnist": "bisnn_pyro.data.images:fashion_mnist",
        "nmnist": "bisnn_pyro.data.events.sets:nmnist",
        "poker-dvs": "bisnn_pyro.data.events.sets:poker_dvs",
        "mnist-dvs": "bisnn_pyro.data.events.sets:mnist_dvs",
        "dvs-gesture": "bisnn_pyro.data.events.sets:dvs_gesture",
        "shd": "bisnn_pyro.data.events.sets:shd",
        "events": "bisnn_pyro.data.events.sets:event_folder",
    },
    "encoder": {
        "population": "bisnn_pyro.data:PopulationEncoder",
        "rate": "bisnn_pyro.data:BernoulliRateEncoder",
        "latency": "bisnn_pyro.data:LatencyEncoder",
        "direct": "bisnn_pyro.data:DirectEncoder",
        "standard": "bisnn_pyro.data:StandardEncoder",
        "spikes": "bisnn_pyro.data:SpikesEncoder",
    },
    "augment": {"": "bisnn_pyro.data:SpikeAugmentation"},
    "network": {"dense": "bisnn_pyro.models:SpikingGLM", "sign": "bisnn_pyro.models:SignNetwork"},
    "layer": {"dense": "bisnn_pyro.models:Dense", "conv": "bisnn_pyro.models:Conv"},
    "neuron": {
        "threshold": "bisnn_pyro.models:ThresholdNeuron",
        "escape": "bisnn_pyro.models:EscapeNeuron",
        "single-step": "bisnn_pyro.models:SingleStepNeuron",
    },
    "surrogate": {
        "boxcar": "bisnn_pyro.models:Boxcar",
        "sigmoid": "bisnn_pyro.models:Sigmoid",
        "fast-sigmoid": "bisnn_pyro.models:FastSigmoid",
        "triangle": "bisnn_pyro.models:Triangle",
        "arctan": "bisnn_pyro.models:Arctan",
        "single-step": "bisnn_pyro.models:SingleStep",
    },
    "prior": {"binary": "bisnn_pyro.models:BinaryPrior", "normal": "bisnn_pyro.models:NormalPrior"},
    "likelihood": {
        "steps": "bisnn_pyro.models.likelihoods:steps",
        "rate": "bisnn_pyro.models.likelihoods:rate",
        "bernoulli-steps": "bisnn_pyro.models:BernoulliSteps",
        "categorical-steps": "bisnn_pyro.models:CategoricalSteps",
        "bernoulli-rate": "bisnn_pyro.models:BernoulliRate",
        "categorical-rate": "bisnn_pyro.models:CategoricalRate",
        "spike-train": "bisnn_pyro.models:SpikeTrainBernoulli",
        "probit": "bisnn_pyro.models:CategoricalProbit",
        "gaussian": "bisnn_pyro.models:Gaussian",
    },
    "guide": {
        "relaxed": "bisnn_pyro.inference:AutoRelaxedSign",
        "straight-through": "bisnn_pyro.inference:AutoStraightThrough",
        "gaussian": "bisnn_pyro.inference:AutoMeanFieldGaussian",
        "full-precision": "bisnn_pyro.inference:AutoFullPrecision",
        "ebp": "bisnn_pyro.inference:AutoExpectationSign",
        "ebp-real": "bisnn_pyro.inference:AutoExpectationNormal",
    },
    "rule": {
        "bayesian": "bisnn_pyro.inference:BayesianLearningRule",
        "bimu": "bisnn_pyro.inference:BiMU",
        "adam": "torch.optim:Adam",
        "sgd": "torch.optim:SGD",
        "expectation": "bisnn_pyro.inference:ExpectationSteps",
    },
    "train": {"": "bisnn_pyro.inference:TrainSettings"},
    "predict": {"": "bisnn_pyro.experiments.config:PredictSettings"},
    "analysis": {"": "bisnn_pyro.experiments.config:AnalysisSettings"},
    "tune": {"": "bisnn_pyro.experiments.config:Range"},
}
"""Built-in parts of each kind, ``module:Object``, imported when they are used; kinds with one part name none."""

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
    "likelihood": ("n_classes", "neuron"),
    "guide": ("model",),
    "rule": ("params", "prior", "dataset_size", "batch_size"),
}
"""Parameters that :mod:`bisnn_pyro.experiments.build` gives to those parts that take them."""

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
"""What a class of the user's own must be; a data set is a function that returns a :class:`Task`."""


@dataclasses.dataclass(frozen=True)
class Key:
    """A key of a table.

    Attributes:
        name: The parameter's name.
        default: Its default; :data:`MISSING` if it must be given.
        annotation: Its type.
        meaning: Its entry in the docstring.
    """

    name: str
    default: Any
    annotation: Any
    meaning: str


def where(kind: str) -> str:
    """Return the table that describes a part of this kind, for example ``network.neuron``."""
    return f"network.{kind}" if kind in ("neuron", "surrogate") else kind


# -- names ------------------------------------------------------------------------------------------


def find(kind: str, name: str, *, trust: bool = False) -> Any:
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
    key = f"{where(kind)}.name"
    if isinstance(name, str) and name in PARTS[kind]:
        return _imported(PARTS[kind][name])
    if not isinstance(name, str) or not re.fullmatch(r"[\w.]+:\w+", name):
        own = ", or 'package.module:Class'" if kind in (*BASES, "data") else ""
        raise ConfigError(
            f"{key} = {_toml(name)} is not one of {', '.join(PARTS[kind])}{own}{nearest(name, PARTS[kind])}"
        )
    if not trust:
        raise ConfigError(
            f"{key} = {name!r} is code outside this package, and importing it runs it; if you trust it, "
            "allow it with --trust-code (in Python: trust=True)"
        )
    return _checked_kind(key, kind, _own(key, name))


def _imported(reference: str) -> Any:
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)


@contextmanager
def _current_folder_last() -> Iterator[None]:
    """Let modules of the current folder be found, after all others."""
    folder = os.getcwd()
    sys.path.append(folder)
    try:
        yield
    finally:
        sys.path.reverse()
        sys.path.remove(folder)
        sys.path.reverse()


def _own(key: str, reference: str) -> Any:
    try:
        with _current_folder_last():
            return _imported(reference)
    except Exception as error:  # whatever a user's module raises at import
        raise ConfigError(
            f"{key} = {reference!r} cannot be imported: {type(error).__name__}: {error}"
        ) from error


def _checked_kind(key: str, kind: str, found: Any) -> Any:
    if kind == "data":
        if not inspect.isfunction(found):
            raise ConfigError(f"{key} names {found!r}; it must be a function that returns a Task")
        return found
    bases = tuple(_imported(base) for base in BASES[kind])
    if not (inspect.isclass(found) and issubclass(found, bases)):
        wanted = " or ".join(f"{base.__module__}.{base.__qualname__}" for base in bases)
        raise ConfigError(f"{key} names {found!r}; it must be a subclass of {wanted}")
    return found


# -- keys -------------------------------------------------------------------------------------------


def keys(kind: str, name: str = "", *, trust: bool = False) -> dict[str, Key]:
    """Return the keys of the table that describes a part.

    Example:
        >>> key = keys("neuron", "escape")["delta"]
        >>> key.default, key.annotation
        (0.25, <class 'float'>)
    """
    known = _keys_of(find(kind, name, trust=trust))
    own = DEFAULTS.get((kind, name), {})
    return {
        key: dataclasses.replace(k, default=own.get(key, k.default))
        for key, k in known.items()
        if key not in SUPPLIED.get(kind, ())
    }


@cache
def _keys_of(target: Any) -> dict[str, Key]:
    """Return the parameters of a class or function that can be given by name."""
    meanings = _meanings(target)
    return {
        name: Key(name, parameter.default, annotation, meanings.get(name, ""))
        for name, (parameter, annotation) in _parameters(target).items()
    }


def takes(target: Any, name: str) -> bool:
    """Whether a class or function has this parameter."""
    return name in _keys_of(target)


def usual_surrogate(neuron: Any) -> str:
    """Return the name of the surrogate that a neuron or network has by default."""
    default = _keys_of(neuron)["surrogate"].default
    made_by = [name for name, path in PARTS["surrogate"].items() if type(default) is _imported(path)]
    return made_by[0] if made_by else "boxcar"


def _parameters(target: Any) -> dict[str, tuple[inspect.Parameter, Any]]:
    """Return parameters and their types; ``**kwargs`` of a subclass are those of its base class."""
    found: dict[str, tuple[inspect.Parameter, Any]] = {}
    for source in _constructors(target):
        signature = inspect.signature(source)
        hints = _type_hints(source if inspect.isroutine(source) else type(source).__call__)
        rest = False
        for name, parameter in signature.parameters.items():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                rest = rest or parameter.kind == parameter.VAR_KEYWORD
            elif not (inspect.isclass(target) and name == "self") and name not in found:
                found[name] = parameter, hints.get(name, parameter.annotation)
        if not rest:
            break
    return {name: (_with_default(target, p), annotation) for name, (p, annotation) in found.items()}


def _constructors(target: Any) -> list[Callable[..., Any]]:
    if not inspect.isclass(target):
        return [target]
    return [base.__dict__["__init__"] for base in target.__mro__ if "__init__" in base.__dict__]


def _type_hints(function: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(inspect.unwrap(function))
    except Exception:  # names that exist for type checkers alone
        return {}


def _with_default(target: Any, parameter: inspect.Parameter) -> inspect.Parameter:
    """Return a parameter with the value of its dataclass field's default factory."""
    for field in dataclasses.fields(target) if dataclasses.is_dataclass(target) else ():
        if field.name == parameter.name and field.default_factory is not dataclasses.MISSING:
            return parameter.replace(default=field.default_factory())
    return parameter


def _meanings(target: Any) -> dict[str, str]:
    """Return the entries of a Google docstring's ``Args`` or ``Attributes``, a base class's first."""
    found: dict[str, str] = {}
    sources = (
        [
            *reversed(target.__mro__),
            *[b.__dict__.get("__init__") for b in reversed(target.__mro__)],
        ]
        if inspect.isclass(target)
        else [target]
    )
    for source in sources:
        text = inspect.cleandoc(getattr(source, "__doc__", None) or "")
        for section in re.findall(r"^(?:Args|Attributes):\n((?:(?: {4}.*)?\n?)+)", text, re.MULTILINE):
            entries = re.split(r"^ {4}(\w+)(?: \([^)]*\))?: ", section, flags=re.MULTILINE)[1:]
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
    name = table.get("name", "")
    known = keys(kind, name, trust=trust)
    given = {key: value for key, value in table.items() if key != "name"}
    for key in given:
        if key not in known:
            raise ConfigError(f"unknown key {key!r} in {_title(kind, name)}{_right_key(kind, key, known)}")
    values = _checked(where(kind), given, known, build=False)
    return {"name": name, **values} if name else values


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
    name = table.get("name", "")
    target = find(kind, name, trust=trust)
    given = {key: value for key, value in table.items() if key != "name"}
    settings = _checked(where(kind), given, keys(kind, name, trust=trust), build=True)
    settings |= {key: value for key, value in supplied.items() if takes(target, key)}
    try:
        return target(**settings)
    except BisnnError:
        raise
    except Exception as error:
        raise ConfigError(f"{_title(kind, name)} failed: {type(error).__name__}: {error}") from error


def _title(kind: str, name: str) -> str:
    return f"[{where(kind)}]" + (f" with name = {name!r}" if name else "")


def _right_key(kind: str, key: str, known: Mapping[str, Key]) -> str:
    """Say which key was meant, or which table has it."""
    if hint := nearest(key, known):
        return hint
    kinds = [kind, *(k for k in PARTS if k not in (kind, "data", "layer", "tune"))]
    for other in kinds:
        names = [name for name in PARTS[other] if key in keys(other, name)]
        if names:
            return f"; it is a key of [{where(other)}]" + (
                f" with name = {' or '.join(names)}" * (names != [""])
            )
    return f"; its keys are {', '.join(known)}" if known else "; it has no keys"


def _checked(
    place: str, given: Mapping[str, Any], known: Mapping[str, Key], *, build: bool
) -> dict[str, Any]:
    """Return checked values of all keys, for the constructor (``build``) or for a TOML file."""
    values = {}
    for key, k in known.items():
        if key in given:
            values[key] = _value(f"{place}.{key}", given[key], k, build)
        elif k.default is MISSING:
            raise ConfigError(f"[{place}] lacks the key {key!r}")
        elif k.default is not None:
            values[key] = k.default if build else _written(k.default)
    return values


def _written(value: Any) -> Any:
    """Return a default as it is written in TOML."""
    if dataclasses.is_dataclass(value):
        return {k: _written(v) for k, v in vars(value).items() if v is not None}
    return list(map(_written, value)) if isinstance(value, list | tuple) else value


def _value(place: str, value: Any, key: Key, build: bool) -> Any:
    members = _members(key.annotation)
    tables = [member for member in members if dataclasses.is_dataclass(member)]
    if tables and isinstance(value, Mapping):
        return _nested(place, value, key, tables, build)
    (items, *_) = [args[0] for m in members if len(args := typing.get_args(m)) == 1] or [None]
    if isinstance(value, list | tuple) and any(map(dataclasses.is_dataclass, _members(items))):
        part = dataclasses.replace(key, annotation=items, default=MISSING)
        return [_value(f"{place}[{i}]", item, part, build) for i, item in enumerate(value)]
    plain = [member for member in members if member not in tables]
    try:
        checked = _adapter(typing.Union[tuple(plain)]).validate_json(json.dumps(_plain(value)))  # noqa: UP007
    except ValueError as error:
        choices = [c for m in members if typing.get_origin(m) is Literal for c in typing.get_args(m)]
        raise ConfigError(
            f"{place} = {_toml(value)} must be {in_words(key.annotation)}{nearest(value, choices)}"
        ) from error
    return checked if build else _written(checked)


def _nested(place: str, value: Mapping[str, Any], key: Key, tables: list[Any], build: bool) -> Any:
    """Return the object that a table in place of a value describes: a schedule, or a layer by its kind."""
    given, kind = dict(value), {}
    target = tables[0]
    if len(tables) > 1:
        kind = {"kind": given.pop("kind", None)}
        if kind["kind"] not in PARTS["layer"]:
            known = " or ".join(f"kind = {name!r}" for name in PARTS["layer"])
            raise ConfigError(f"{place} is a table without {known}{nearest(kind['kind'], PARTS['layer'])}")
        target = _imported(PARTS["layer"][kind["kind"]])
    known = _keys_of(target)
    if isinstance(key.default, target):
        given = {k: v for k, v in vars(key.default).items() if v is not None} | given
    elif isinstance(key.default, int | float):
        given.setdefault(next(iter(known)), key.default)
    for name in given:
        if name not in known:
            raise ConfigError(
                f"unknown key {name!r} in {place}{nearest(name, known)}; its keys: {', '.join(known)}"
            )
    made = target(**_checked(place, given, known, build=True))
    return made if build else kind | _written(made)


@cache
def _adapter(annotation: Any) -> Any:
    from pydantic import ConfigDict, TypeAdapter

    settings = ConfigDict(strict=True, arbitrary_types_allowed=True, allow_inf_nan=False)
    return TypeAdapter(annotation, config=settings)


def _members(annotation: Any) -> list[Any]:
    """Return the alternatives of a type, without ``None``."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _members(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return [m for part in typing.get_args(annotation) for m in _members(part)]
    return [] if annotation is types.NoneType else [Any if annotation is MISSING else annotation]


def in_words(annotation: Any) -> str:
    """Return a type in words, for messages and for the reference page.

    Example:
        >>> in_words(list[int] | None)
        'a list of whole numbers'
    """
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "text", Any: "anything"}
    found = []
    for member in _members(annotation):
        origin, args = typing.get_origin(member), typing.get_args(member)
        if origin is Literal:
            found += [f"'{choice}'" for choice in args]
        elif (origin or member) is os.PathLike:
            found = ["a path"]
        elif dataclasses.is_dataclass(member):
            found.append(f"a table {{ {', '.join(_keys_of(member))} }}")
        elif args and origin is not dict:
            items = in_words(args[0])
            plural = {"a whole number": "whole numbers", "a number": "numbers", "text": "texts"}
            found.append(f"a list of {plural.get(items, items)}")
        else:
            found.append(words.get(member, "a table" if origin is dict else getattr(member, "__name__", "")))
    known = [w for w in dict.fromkeys(found) if w != "Tensor"]
    return " or ".join([", ".join(known[:-1]), known[-1]] if len(known) > 1 else known)


def _plain(value: Any) -> Any:
    if isinstance(value, Table):
        return value.to_dict()
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _toml(value: Any) -> str:
    """Return a value as a TOML file has it, for messages."""
    return json.dumps(_plain(value), default=repr)
