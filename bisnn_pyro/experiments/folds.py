"""Cross-validation: the settings of each fold of a task that has folds."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from bisnn_pyro.data import has_folds, task_settings
from bisnn_pyro.errors import ConfigError
from bisnn_pyro.experiments.config import Config


def each_fold(changes: Mapping[str, Any], n_folds: int) -> list[dict[str, Any]]:
    """Return the overrides of every fold: these, and which fold is the test set.

    Args:
        changes: tables of overrides.
        n_folds: K.

    Returns:
        K tables of overrides, with ``data.n_folds = K`` and ``data.fold`` from 0 to K-1.

    Raises:
        ConfigError: if K is below 2, or the overrides choose a fold themselves.
    """
    if n_folds < 2:
        raise ConfigError(f"--folds is {n_folds}; a cross-validation needs at least 2")
    data = changes.get("data", {})
    if not isinstance(data, Mapping):
        return [dict(changes)]  # refused where overrides are checked
    if {"fold", "n_folds"} & data.keys():
        raise ConfigError(f"--folds {n_folds} sets data.fold and data.n_folds; leave them out of --set")
    parts = []
    for k in range(n_folds):
        part = copy.deepcopy(dict(changes))
        part["data"] = {**part.get("data", {}), "n_folds": n_folds, "fold": k}
        parts.append(part)
    return parts


def check_folds(configs: Sequence[Config]) -> None:
    """Refuse to cross-validate on data without folds.

    Raises:
        ConfigError: if a task has a test set of its own.
    """
    for name in dict.fromkeys(c.data.name for c in configs):
        if not has_folds(name):
            raise ConfigError(
                f"data.name = {name!r} has a fixed test set and no folds, so it takes no --folds; "
                "--seeds 0-4 repeats its runs"
            )


def n_folds_of(config: Config) -> int:
    """Return K, the config's or else the task's own."""
    own = config.data.settings.get("n_folds")
    return task_settings(config.data.name)["n_folds"] if own is None else own
