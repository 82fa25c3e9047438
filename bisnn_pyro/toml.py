"""TOML from outside: any text gives tables, or one error that names its source."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bisnn_pyro.errors import ConfigError

MAX_BYTES = 10 * 2**20
"""Size of a config file beyond which it is not one."""


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
        _check_integers(tables)
    except RecursionError as error:
        raise ConfigError(f"{source} is nested too deeply") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source} is not valid TOML: {str(error)[:200]}") from error
    except ValueError as error:  # Python's own, of thousands of digits, among them
        raise ConfigError(f"{source} has a whole number of more than 64 bits ({str(error)[:60]})") from error
    return tables


def _check_integers(value: Any, key: str = "") -> None:
    """Refuse whole numbers that TOML does not have, and no seed takes."""
    if isinstance(value, Mapping):
        for name, own in value.items():
            _check_integers(own, f"{key}.{name}" if key else name)
    elif isinstance(value, list):
        for own in value:
            _check_integers(own, key)
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError(key)
