"""A user's own classes, named ``package.module:Class`` in a config."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from bisnn_pyro.errors import BisnnError, ConfigError


def import_reference(reference: str, what: str) -> Any:
    """Return the object that ``package.module:Name`` names.

    Raises:
        ConfigError: if the module cannot be imported or has no such name.
    """
    module, _, name = reference.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except Exception as error:  # whatever a user's module raises at import
        raise ConfigError(f"{what} = {reference!r} cannot be imported: {error}") from error


def checked(what: str, value: Any, kind: type[Any]) -> Any:
    """Return a user's own part if it is of the right kind."""
    if not isinstance(value, kind):
        raise ConfigError(
            f"{what} is a {type(value).__name__}, which is no {kind.__module__}.{kind.__name__}"
        )
    return value


def refuse_settings(what: str, settings: dict[str, Any]) -> None:
    """Refuse settings that nothing takes: they are for a user's own class."""
    if settings:
        raise ConfigError(f"{what} = {settings!r} is for a class of your own; the built-in one takes none")


def construct(what: str, make: Callable[..., Any], *arguments: Any, **settings: Any) -> Any:
    """Call a user's own class or a settings table's target; a refusal becomes a :class:`ConfigError`."""
    try:
        return make(*arguments, **settings)
    except BisnnError:
        raise
    except Exception as error:
        raise ConfigError(f"{what} cannot be made: {type(error).__name__}: {error}") from error
