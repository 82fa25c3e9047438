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
}
"""Methods and the guides that they are."""


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
    tables: Mapping[str, Any], method: str, *, overrides: Iterable[str] = (), seed: int = 0
) -> Config:
    """Return the validated config of one method.

    Args:
        tables: from :func:`load_source`.
        method: its name; its own tables (``[method.NAME.*]``) override the common ones.
        overrides: ``table.key=value`` strings, which override both; values are TOML, or else strings.
        seed: training seed.

    Raises:
        ConfigError: if a table, key or value is wrong; a misspelt one answers with the nearest right one.
    """
    base = copy.deepcopy(dict(tables))
    known = methods_of(base)
    base.pop("methods", None)
    own = base.pop("method", {})
    own = own if isinstance(own, dict) else {}
    if method not in known and method not in own and method not in METHOD_GUIDES:
        choices = list(dict.fromkeys([*known, *METHOD_GUIDES]))
        raise ConfigError(
            f"unknown method {method!r}{_nearest(method, choices)}; one of {', '.join(choices)}"
        )
    stray = [name for name in own if name not in known and name not in METHOD_GUIDES]
    if stray:
        raise ConfigError(f"[method.{stray[0]}] belongs to no method{_nearest(stray[0], known)}")
    if method in METHOD_GUIDES:
        _merge(base, {"guide": {"name": METHOD_GUIDES[method]}})
    _merge(base, own.get(method, {}))
    for override in overrides:
        _apply(base, override, method, known)
    base.update(method=method, seed=seed)
    base.setdefault("experiment", "experiment")
    return _validated(base)


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


def _apply(base: dict[str, Any], override: str, method: str, known: list[str]) -> None:
    path, equals, text = override.partition("=")
    keys = [key.strip() for key in path.split(".")]
    if not equals or not all(keys):
        raise ConfigError(f"--set {override!r} is not of the form table.key=value")
    if keys[0] == "method" and len(keys) > 2:
        if keys[1] not in known and keys[1] not in METHOD_GUIDES:
            raise ConfigError(f"--set {override!r}: unknown method {keys[1]!r}{_nearest(keys[1], known)}")
        if keys[1] != method:
            return
        keys = keys[2:]
    nested: Any = _value(text.strip())
    for key in reversed(keys):
        nested = {key: nested}
    if len(keys) == 1 and keys[0] in Config.model_fields and isinstance(base.get(keys[0]), dict):
        raise ConfigError(f"--set {override!r}: [{keys[0]}] is a table; set one of its keys")
    _merge(base, nested)


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _validated(tables: dict[str, Any]) -> Config:
    try:
        return Config.model_validate(tables)
    except ValidationError as error:
        raise ConfigError("\n".join(dict.fromkeys(map(_message, error.errors())))) from error


def _message(error: Any) -> str:
    location = [str(part) for part in error["loc"]]
    path = ".".join(
        part for part in location if not part.startswith(("literal[", "constrained-", "function-"))
    )
    if error["type"] == "extra_forbidden":
        table = ".".join(location[:-1])
        known = _keys_of(location[:-1])
        where = f"[{table}]" if table else "the top level"
        return f"unknown key {location[-1]!r} in {where}{_nearest(location[-1], known)}"
    return f"config key {path}: {error['msg']}, not {error['input']!r}"


def _keys_of(location: list[str]) -> list[str]:
    fields: Any = Config.model_fields
    for part in location:
        annotation = fields[part].annotation if part in fields else None
        fields = getattr(annotation, "model_fields", {})
    return list(fields)


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""
