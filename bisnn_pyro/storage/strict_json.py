"""JSON as the standard has it, with numbers that the standard lacks.

Infinity and NaN are written as the texts ``"Infinity"``, ``"-Infinity"`` and ``"NaN"``, and read back as
numbers.  A text that is one of these words, a class of that name for example, is written with a backslash in
front.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bisnn_pyro.files import write_whole

_NUMBERS = {"Infinity": math.inf, "-Infinity": -math.inf, "NaN": math.nan}
_NAMES = {repr(number): name for name, number in _NUMBERS.items()}


def dumps(value: Any, *, indent: int | None = 2) -> str:
    r"""Return a value as JSON.

    Raises:
        TypeError: if it holds something else than mappings, lists, texts, numbers, booleans and None.

    Example:
        >>> dumps({"nll": float("inf"), "classes": ["NaN"]}, indent=None)
        '{"nll": "Infinity", "classes": ["\\\\NaN"]}'
        >>> loads(dumps({"nll": float("inf"), "classes": ["NaN"]}))
        {'nll': inf, 'classes': ['NaN']}
    """
    return json.dumps(_written(value), indent=indent, allow_nan=False)


def loads(text: str | bytes) -> dict[str, Any]:
    """Return what :func:`dumps` wrote of a mapping.

    Raises:
        ValueError: if it is not UTF-8, not JSON by the standard, too deep, or not an object.
    """
    try:
        found = json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError(f"expected a JSON object, not a {type(found).__name__}")
    return _read(found)


def write(path: str | os.PathLike[str], value: Mapping[str, Any]) -> None:
    """Write a mapping to a file, whole or not at all."""
    write_whole(path, (dumps(value) + "\n").encode())


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a file that :func:`write` wrote.

    Raises:
        OSError: if it cannot be read.
        ValueError: see :func:`loads`.
    """
    return loads(Path(path).read_bytes())


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _written(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _written(own) for key, own in value.items()}
    if isinstance(value, list | tuple):
        return [_written(own) for own in value]
    if isinstance(value, float) and not math.isfinite(value):
        return _NAMES[repr(float(value))]
    if isinstance(value, str) and value.lstrip("\\") in _NUMBERS:
        return f"\\{value}"
    return value


def _read(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _read(own) for key, own in value.items()}
    if isinstance(value, list):
        return [_read(own) for own in value]
    if isinstance(value, str) and value.lstrip("\\") in _NUMBERS:
        return value[1:] if value.startswith("\\") else _NUMBERS[value]
    return value
