"""The config's reference: every table and key with type, default and meaning.

Types, ranges and defaults come from the models that check a config, the settings of data sets and encoders
from their docstrings, and meanings from ``config_meanings.toml``, which must name each key and no other.
"""

from __future__ import annotations

import inspect
import re
import tomllib
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from bisnn_pyro.data.registry import ENCODERS, TASKS, _find
from bisnn_pyro.experiments.config import Config, Range
from bisnn_pyro.experiments.network_config import ConvLayer, DenseLayer
from bisnn_pyro.experiments.tables import OpenTable, Reference

MEANINGS = Path(__file__).with_name("config_meanings.toml")
HEADER = ["| key | type | default | means |", "|---|---|---|---|"]


def config_page() -> str:
    """The page as Markdown.

    Raises:
        ValueError: a key without a meaning, or a meaning without a key.
    """
    meanings = tomllib.loads(MEANINGS.read_text(encoding="utf-8"))
    parts = [meanings.pop("introduction").strip(), "## Top level", _table("top", Config, meanings)]
    for name, field in Config.model_fields.items():
        table = field.annotation
        if inspect.isclass(table) and issubclass(table, BaseModel) and not issubclass(table, OpenTable):
            parts += [f"## `[{name}]`", *_notes(meanings, name), _table(name, table, meanings)]
            if name == "network":
                parts += _layers(meanings)
    parts += ["## `[tune]`", *_notes(meanings, "tune"), _table("tune", Range, meanings)]
    parts += ["## `[data]`", *_notes(meanings, "data"), *_settings("data", TASKS)]
    parts += ["## `[encoder]`", *_notes(meanings, "encoder"), *_settings("encoder", ENCODERS)]
    if meanings:
        raise ValueError(f"{MEANINGS.name} has meanings for no table: {sorted(meanings)}")
    return "\n\n".join(parts) + "\n"


def _layers(meanings: dict[str, Any]) -> list[str]:
    parts = ["### Layers in `network.hidden`", *_notes(meanings, "layers")]
    for kind, model in (("conv", ConvLayer), ("dense", DenseLayer)):
        parts += [f'`kind = "{kind}"`:', _table(f"layer-{kind}", model, meanings)]
    meanings.pop("layers", None)
    return parts


def _notes(meanings: dict[str, Any], name: str) -> list[str]:
    note = meanings.get(name, {}).pop("_", None)
    if not meanings.get(name, True):
        meanings.pop(name)
    return [] if note is None else [note.strip()]


def _table(name: str, model: type[BaseModel], meanings: dict[str, Any]) -> str:
    own = meanings.pop(name)
    fields = {key: f for key, f in model.model_fields.items() if not (name == "top" and _is_table(key))}
    fields.pop("kind", None)
    if own.keys() != fields.keys():
        raise ValueError(
            f"{MEANINGS.name}, [{name}]: other keys than the config's: {own.keys() ^ fields.keys()}"
        )
    rows = [
        f"| `{key}` | {_cell(_type_of(field))} | {_cell(_default(field))} | {_cell(own[key])} |"
        for key, field in fields.items()
    ]
    return "\n".join([*HEADER, *rows])


def _is_table(key: str) -> bool:
    field = Config.model_fields[key].annotation
    return key == "tune" or (inspect.isclass(field) and issubclass(field, BaseModel))


def _default(field: Any) -> str:
    if field.default_factory is not None:
        value = field.default_factory()
    elif field.default is PydanticUndefined:
        return "needed"
    else:
        value = field.default
    return _value(value)


def _value(value: Any) -> str:
    if value is None:
        return "none"
    if value is inspect.Parameter.empty:
        return "needed"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value}`"


def _type_of(field: Any) -> str:
    return _type(field.annotation, field.metadata)


def _type(kind: Any, metadata: Any = ()) -> str:
    """A type in words, with its range."""
    if kind == Reference:
        return "`module:Class`"
    origin = get_origin(kind)
    if origin is Annotated:
        return _type(get_args(kind)[0], get_args(kind)[1:])
    if origin is Literal:
        return ", ".join(f'`"{choice}"`' for choice in get_args(kind))
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(_type(part) for part in get_args(kind) if part is not NoneType))
    if origin is list:
        return "list" if get_args(kind)[0] is Any else f"list of: {_type(get_args(kind)[0])}"
    if origin is dict:
        return "table"
    if inspect.isclass(kind) and issubclass(kind, BaseModel):
        return "table"
    words = {int: "whole number", float: "number", bool: "true or false", str: "text"}
    return " ".join([words.get(kind, getattr(kind, "__name__", str(kind))), *_range(metadata)])


def _range(metadata: Any) -> list[str]:
    signs = (("gt", ">"), ("ge", "≥"), ("lt", "<"), ("le", "≤"))
    flat = [part for entry in metadata for part in getattr(entry, "metadata", [entry])]
    limits = [f"{sign} {getattr(part, key):g}" for part in flat for key, sign in signs if hasattr(part, key)]
    return [", ".join(limits)] if limits else []


def _settings(table: str, registry: dict[str, tuple[str, str]]) -> list[str]:
    parts: list[str] = []
    for name in registry:
        parts += [f'### `{table}.name = "{name}"`', *_described(_find("name", name, registry))]
    return parts


def _described(function: Any) -> list[str]:
    text = inspect.getdoc(function) or ""
    meanings = _arguments(text)
    rows = [
        f"| `{key}` | {_written_type(parameter.annotation)} | {_value(parameter.default)} "
        f"| {_cell(meanings[key])} |"
        for key, parameter in inspect.signature(function).parameters.items()
    ]
    return [_markdown(text.split("\n\n")[0]), "\n".join([*HEADER, *rows])]


def _written_type(annotation: str) -> str:
    """A type in words; the modules of data sets postpone annotations, so it comes as text."""
    kind = annotation.removesuffix(" | None")
    words = {"str | os.PathLike[str]": "path", "Sequence[int]": "list of: whole number"}
    words |= {"int": "whole number", "float": "number", "bool": "true or false", "str": "text"}
    choices = re.fullmatch(r"Literal\[(.*)\]", kind)
    return choices[1].replace("'", "`") if choices else words[kind]


def _arguments(text: str) -> dict[str, str]:
    """The entries of a Google docstring's ``Args`` or ``Attributes``."""
    section = re.search(r"^(?:Args|Attributes):\n((?:(?: {4}.*)?\n?)+)", text, re.MULTILINE)
    entries = re.split(r"^ {4}(\w+): ", section[1] if section else "", flags=re.MULTILINE)[1:]
    return {key: _markdown(meaning) for key, meaning in zip(entries[::2], entries[1::2], strict=True)}


def _markdown(text: str) -> str:
    """Markdown from the little reStructuredText that docstrings hold."""
    text = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", " ".join(text.split()))
    return text.replace("``", "`")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")
