"""Presets and config files: reading, overriding and resolving them to one method's config."""

from __future__ import annotations

import copy
import difflib
import tomllib
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bisnn_pyro.errors import ConfigError
from bisnn_pyro.experiments.config import Config

METHOD_GUIDES = {
    "bayes": "relaxed",
    "straight-through": "straight-through",
    "gaussian": "gaussian",
    "full-precision": "full-precision",
    "ebp": "ebp",
    "ebp-real": "ebp-real",
}
"""Methods and the guides that they are."""

_SCALARS = ("experiment", "description", "method", "seed")


def preset_names() -> list[str]:
    """Return the names of the presets that are shipped."""
    folder = resources.files("bisnn_pyro.experiments") / "presets"
    return sorted(p.name.removesuffix(".toml") for p in folder.iterdir() if p.name.endswith(".toml"))


def preset_text(name: str) -> str:
    """Return a shipped preset's TOML.

    Raises:
        ConfigError: if there is no such preset; the message names the nearest.
    """
    known = preset_names()
    if name not in known:
        raise ConfigError(f"there is no preset {name!r}{_nearest(name, known)}; presets: {', '.join(known)}")
    return (resources.files("bisnn_pyro.experiments") / "presets" / f"{name}.toml").read_text()


def load_source(source: str) -> dict[str, Any]:
    """Return the tables of a preset, or of a TOML file (anything that ends in ``.toml``)."""
    if not source.endswith(".toml"):
        return tomllib.loads(preset_text(source))
    path = Path(source)
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise ConfigError(f"cannot read the config file {source}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{source} is not valid TOML: {error}") from error


def methods_of(tables: Mapping[str, Any]) -> list[str]:
    """Return the methods that a source lists; a resolved config lists its own."""
    methods = tables.get("methods", [tables["method"]] if isinstance(tables.get("method"), str) else [])
    if not isinstance(methods, list) or not methods or not all(isinstance(m, str) for m in methods):
        raise ConfigError('the config lists no methods; add for example methods = ["bayes"]')
    return methods


def resolve(
    tables: Mapping[str, Any],
    method: str,
    *,
    overrides: Mapping[str, Any] | None = None,
    seed: int | None = None,
) -> Config:
    """Return the validated config of one method.

    Args:
        tables: from :func:`load_source`.
        method: its name; its own tables (``[method.NAME.*]``) override the common ones.
        overrides: tables that override both, see :func:`parse_overrides`.
        seed: training seed; ``None`` takes the source's own, or 0.

    Raises:
        ConfigError: if a table, key or value is wrong; a misspelt one answers with the nearest right one.
    """
    base = copy.deepcopy(dict(tables))
    known = methods_of(base)
    single = isinstance(base.get("method"), str)
    choices = known if single else list(dict.fromkeys([*known, *METHOD_GUIDES]))
    base.pop("methods", None)
    own = base.pop("method", {})
    own = own if isinstance(own, dict) else {}
    if method not in choices:
        known_here = f"{'this config is of' if single else 'one of'} {', '.join(choices)}"
        raise ConfigError(f"unknown method {method!r}{_nearest(method, choices)}; {known_here}")
    stray = [name for name in own if name not in known and name not in METHOD_GUIDES]
    if stray:
        raise ConfigError(f"[method.{stray[0]}] belongs to no method{_nearest(stray[0], known)}")
    if method in METHOD_GUIDES and not single:
        _merge(base, {"guide": {"name": METHOD_GUIDES[method]}})
    _merge(base, own.get(method, {}))
    changes = copy.deepcopy(dict(overrides or {}))
    per_method = changes.pop("method", {})
    for name in per_method:
        if name not in choices:
            raise ConfigError(f"unknown method {name!r}{_nearest(name, choices)}")
    for change in (changes, per_method.get(method, {})):
        _check_tables(change)
        _merge(base, change)
    base["method"] = method
    base["seed"] = base.get("seed", 0) if seed is None else seed
    base.setdefault("experiment", "experiment")
    _make_path_absolute(base)
    config = _validated(base)
    if config.guide.name != METHOD_GUIDES.get(method, config.guide.name):
        raise ConfigError(
            f"method {method!r} is the guide {METHOD_GUIDES[method]!r}, not {config.guide.name!r}; choose "
            "the method instead of guide.name"
        )
    return config


def parse_overrides(texts: Iterable[str]) -> dict[str, Any]:
    """Return the nested tables of ``table.key=value`` strings; values are TOML, or else plain text.

    Raises:
        ConfigError: if a string has another form.
    """
    tables: dict[str, Any] = {}
    for text in texts:
        path, equals, value = text.partition("=")
        keys = [key.strip() for key in path.split(".")]
        if not equals or not all(keys):
            raise ConfigError(f"--set {text!r} is not of the form table.key=value")
        nested: Any = _value(value.strip())
        for key in reversed(keys):
            nested = {key: nested}
        _deep_update(tables, nested)
    return tables


def apply_overrides(tables: dict[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return a source's tables with overrides written into them, for all methods."""
    result = copy.deepcopy(tables)
    _merge(result, overrides)
    for own in result.get("method", {}).values():
        for table, keys in overrides.items():
            if isinstance(keys, Mapping) and isinstance(own.get(table), dict):
                _deep_update(own[table], keys)
    return result


def _deep_update(base: dict[str, Any], other: Mapping[str, Any]) -> None:
    for key, value in other.items():
        if isinstance(value, Mapping) and isinstance(base.get(key), dict):
            _deep_update(base[key], value)
        else:
            base[key] = copy.deepcopy(value)


def _check_tables(change: Mapping[str, Any]) -> None:
    for key, value in change.items():
        is_table = key in Config.model_fields and key not in _SCALARS
        if is_table and not isinstance(value, Mapping):
            raise ConfigError(f"[{key}] is a table, not {value!r}; set one of its keys: {key}.KEY=VALUE")


def _make_path_absolute(base: dict[str, Any]) -> None:
    """A run must find its data from wherever it is evaluated or resumed."""
    data = base.get("data")
    if isinstance(data, dict) and isinstance(data.get("path"), str):
        path = Path(data["path"]).expanduser().absolute()
        data["path"] = str(path.resolve() if ".." in path.parts else path)  # its last part names the task


def _merge(base: dict[str, Any], other: Mapping[str, Any]) -> None:
    for key, value in other.items():
        if isinstance(value, Mapping) and isinstance(base.get(key), dict):
            if _changes_name(base, key, value):
                base[key] = {}
            _merge(base[key], value)
        else:
            base[key] = copy.deepcopy(value)


def _changes_name(base: Mapping[str, Any], key: str, value: Mapping[str, Any]) -> bool:
    """Whether another data set or encoder is chosen, whose predecessor's own keys mean nothing."""
    return key in ("data", "encoder") and "name" in value and value["name"] != base[key].get("name")


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _validated(tables: dict[str, Any]) -> Config:
    try:
        return Config.model_validate(tables)
    except ValidationError as error:
        by_key: dict[str, list[Any]] = {}
        for detail in error.errors():
            by_key.setdefault(_path(detail), []).append(detail)
        raise ConfigError("\n".join(_message(path, details) for path, details in by_key.items())) from error


def _path(detail: Any) -> str:
    """Return the dotted key, without the tags that pydantic adds for the members of a union."""
    tags = ("literal[", "constrained-", "function-", "float", "int", "list[", "Range", "is-instance")
    location = [str(part) for part in detail["loc"]]
    return ".".join(part for k, part in enumerate(location) if k < 2 or not part.startswith(tags))


def _message(path: str, details: list[Any]) -> str:
    first = details[0]
    parent, _, key = path.rpartition(".")
    where = f"[{parent}]" if parent else "the top level"
    if first["type"] == "extra_forbidden":
        return f"unknown key {key!r} in {where}{_nearest(key, _keys_of(parent.split('.') if parent else []))}"
    if first["type"] == "missing":
        return f"{where} lacks the key {key!r}" if parent else f"the config lacks the table [{key}]"
    choices = [d for d in details if d["type"] == "literal_error"]
    if choices:
        known = [part.strip(" '") for part in choices[0]["ctx"]["expected"].replace(" or ", ", ").split(",")]
        own = ", or 'package.module:Class'" if len(details) > 1 else ""
        hint = _nearest(str(first["input"]), known)
        return f"{path} = {first['input']!r} is none of {', '.join(known)}{own}{hint}"
    return f"{path} = {first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}"


def _keys_of(location: list[str]) -> list[str]:
    fields: Any = Config.model_fields
    for part in location:
        annotation = fields[part].annotation if part in fields else None
        fields = getattr(annotation, "model_fields", {})
    return list(fields)


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""
