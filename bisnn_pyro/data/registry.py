"""Tasks and encoders by the names that a config file uses."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any

from bisnn_pyro.data.checks import check_choice
from bisnn_pyro.data.encoders import Encoder
from bisnn_pyro.data.task import Task
from bisnn_pyro.errors import DataError

# Module and name, imported at the first use.
TASKS = {
    "two-moons": ("synthetic", "two_moons"),
    "curve": ("synthetic", "curve"),
    "digits": ("images", "handwritten_digits"),
    "npz": ("arrays", "load_npz"),
    "mat": ("matlab", "load_mat"),
    "mnist": ("images", "mnist"),
    "fashion-mnist": ("images", "fashion_mnist"),
    "nmnist": ("events.sets", "nmnist"),
    "poker-dvs": ("events.sets", "poker_dvs"),
    "mnist-dvs": ("events.sets", "mnist_dvs"),
    "dvs-gesture": ("events.sets", "dvs_gesture"),
    "shd": ("events.sets", "shd"),
    "events": ("events.sets", "event_folder"),
}
ENCODERS = {
    "population": ("encoders", "PopulationEncoder"),
    "rate": ("encoders", "BernoulliRateEncoder"),
    "latency": ("encoders", "LatencyEncoder"),
    "direct": ("encoders", "DirectEncoder"),
    "standard": ("standard_encoder", "StandardEncoder"),
    "spikes": ("encoders", "SpikesEncoder"),
}


def load_task(name: str, **settings: Any) -> Task:
    """Load a task by name.

    Args:
        name: A key of :data:`TASKS`, for example ``"mnist"``.
        **settings: The keys of that task; see :func:`task_settings`.

    Returns:
        The task.

    Raises:
        DataError: If the name, a key or a value is wrong; a wrong name or key answers with the nearest.
    """
    function = _find("data.name", name, TASKS)
    if "path" in settings and "path" not in _defaults(function):
        with_path = [n for n in TASKS if "path" in task_settings(n)]
        raise DataError(
            f"data.name = {name!r} reads no files, so it takes no data.path (--data-dir); "
            f"tasks that do: {', '.join(with_path)}"
        )
    return _call(function, f"key in [data] for {name!r}", settings)


def make_encoder(name: str, **settings: Any) -> Encoder:
    """Make an encoder by name.

    Args:
        name: A key of :data:`ENCODERS`, for example ``"direct"``.
        **settings: The keys of that encoder; see :func:`encoder_settings`.

    Returns:
        The encoder.

    Raises:
        DataError: If the name, a key or a value is wrong; a wrong name or key answers with the nearest.
    """
    return _call(_find("encoder.name", name, ENCODERS), f"key in [encoder] for {name!r}", settings)


def task_settings(name: str) -> dict[str, Any]:
    """Keys and defaults of a task; a key without a default has ``inspect.Parameter.empty``."""
    return _defaults(_find("data.name", name, TASKS))


def has_folds(name: str) -> bool:
    """Whether a task can be cross-validated.

    Such a task takes ``n_folds`` (K) and ``fold`` (k in 0..K-1): fold k is its test set, the other rows
    train and validate, and every example is in the test set of exactly one fold.
    """
    return {"fold", "n_folds"} <= task_settings(name).keys()


def encoder_settings(name: str) -> dict[str, Any]:
    """Keys and defaults of an encoder; a key without a default has ``inspect.Parameter.empty``."""
    return _defaults(_find("encoder.name", name, ENCODERS))


def _find(what: str, name: str, table: dict[str, tuple[str, str]]) -> Callable[..., Any]:
    module, attribute = table[check_choice(what, name, table)]
    return getattr(import_module(f".{module}", __package__), attribute)


def _defaults(function: Callable[..., Any]) -> dict[str, Any]:
    return {key: p.default for key, p in inspect.signature(function).parameters.items()}


def _call(function: Callable[..., Any], what: str, settings: dict[str, Any]) -> Any:
    defaults = _defaults(function)
    for key in settings:
        check_choice(what, key, defaults)
    missing = [k for k, v in defaults.items() if v is inspect.Parameter.empty and k not in settings]
    if missing:
        raise DataError(f"{what}: {missing[0]} is missing and has no default")
    return function(**settings)
