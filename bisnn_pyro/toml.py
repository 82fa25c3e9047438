"""TOML from outside: any file, text or ``--set`` gives tables, or one error that names its source."""

from __future__ import annotations

import copy
import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bisnn_pyro.errors import ConfigError

MAX_BYTES = 10 * 2**20
"""Size of a config file beyond which it is not one."""
MAX_DEPTH = 20
"""Tables in tables."""


def read_toml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the tables of a file in UTF-8, with or without its mark (BOM).

    Raises:
        ConfigError: if it cannot be read, or is not TOML.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # a path with a zero byte is a ValueError
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"cannot read the config file {path}: {reason}") from error
    if len(content) > MAX_BYTES:
        raise ConfigError(
            f"the config file {path} is larger than {MAX_BYTES / 2**20:g} MiB: it is not a config"
        )
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: it is not UTF-8 ({error.reason})") from error
    return parse_toml(text, str(path))


def parse_toml(text: str, source: str) -> dict[str, Any]:
    r"""Return the tables of a text.

    Args:
        text: in TOML.
        source: what messages call it.

    Raises:
        ConfigError: if it is not TOML, is nested too deeply, or has a whole number of more than 64 bits.

    Example:
        >>> parse_toml("[train]\nepochs = 5", "an example")
        {'train': {'epochs': 5}}
    """
    try:
        tables = tomllib.loads(text)
        _check_values(tables)
    except RecursionError as error:
        raise ConfigError(f"{source} is nested too deeply") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source} is not valid TOML: {str(error)[:200]}") from error
    except ValueError as error:  # Python's own, of thousands of digits, among them
        raise ConfigError(f"{source} has a whole number of more than 64 bits ({str(error)[:60]})") from error
    return tables


def _check_values(value: Any, key: str = "", depth: int = 0) -> None:
    """Refuse depths that no config has, and whole numbers that TOML does not have."""
    if depth > MAX_DEPTH:
        raise RecursionError
    if isinstance(value, Mapping):
        for name, own in value.items():
            _check_values(own, f"{key}.{name}" if key else name, depth + 1)
    elif isinstance(value, list):
        for own in value:
            _check_values(own, key, depth + 1)
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError(key)


# -- overrides ------------------------------------------------------------------------------------------


def parse_overrides(texts: Iterable[str]) -> dict[str, Any]:
    """Return the nested tables of ``table.key=value`` strings; values are TOML, or else plain text.

    Of a key that is given twice the later value counts.

    Raises:
        ConfigError: if a string has another form.
    """
    tables: dict[str, Any] = {}
    for text in texts:
        path, _, value = text.partition("=")
        nested: Any = _value(value.strip(), f"--set {path[:60]}")
        for key in reversed(_keys(text, path if "=" in text else "")):
            nested = {key: nested}
        deep_update(tables, nested)
    return tables


def deep_update(base: dict[str, Any], other: Mapping[str, Any]) -> None:
    """Write nested tables over others, key by key."""
    for key, value in other.items():
        if isinstance(value, Mapping) and isinstance(base.get(key), dict):
            deep_update(base[key], value)
        else:
            base[key] = copy.deepcopy(value)


def _keys(text: str, path: str) -> list[str]:
    """Return the parts of a dotted key, of which one may be quoted: ``tune."rule.lr"``."""
    keys: list[str] = []
    try:
        nested: Any = tomllib.loads(f"{path} = 0")
    except (ValueError, RecursionError):
        nested = {}
    while isinstance(nested, dict) and len(nested) == 1:
        ((key, nested),) = nested.items()
        keys.append(key)
    if nested != 0 or "\n" in path or not all(keys) or len(keys) > MAX_DEPTH:
        raise ConfigError(f"--set {text[:60]!r} is not of the form table.key=value")
    return keys


def _value(text: str, where: str) -> Any:
    """Return a value in TOML, or other text as it is: a line break would begin another key."""
    try:
        found = parse_toml(f"value = {text}", where)
    except ConfigError as error:
        if isinstance(error.__cause__, tomllib.TOMLDecodeError):
            return text
        raise
    return found["value"] if len(found) == 1 else text
