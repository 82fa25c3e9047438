"""Packages whose names are imported when they are first used (PEP 562)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any


def lazily(namespace: dict[str, Any]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` of a package that lists its names in ``__init__.pyi``.

    The list is what type checkers read: ``from package.module import Name as Name``.
    ``__all__`` holds all of it.

    Args:
        namespace: ``globals()`` of the package.

    Example:
        >>> import bisnn_pyro.data
        >>> "two_moons" in dir(bisnn_pyro.data)
        True
    """

    @cache
    def homes() -> dict[str, str]:
        import ast

        tree = ast.parse(Path(namespace["__file__"]).with_suffix(".pyi").read_text(encoding="utf-8"))
        imports = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module]
        return {alias.name: node.module for node in imports for alias in node.names if node.module}

    def get(name: str) -> Any:
        if name == "__all__":
            return names()
        if name.startswith("_") or name not in homes():
            raise AttributeError(f"module {namespace['__name__']!r} has no attribute {name!r}")
        value = namespace[name] = getattr(import_module(homes()[name]), name)
        return value

    def names() -> list[str]:
        version = ["__version__"] if "__version__" in namespace else []
        return sorted([*version, *homes()])

    return get, names
