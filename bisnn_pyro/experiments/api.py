"""The short Python path: a preset, a run, a posterior."""

from __future__ import annotations

import os
from typing import Any

from bisnn_pyro.experiments.config import Config
from bisnn_pyro.experiments.fitted import load_run
from bisnn_pyro.experiments.resolve import load_source, methods_of, resolve
from bisnn_pyro.experiments.run import run


def load_preset(
    name: str | os.PathLike[str],
    method: str | None = None,
    *,
    seed: int | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    trust: bool = False,
    **overrides: Any,
) -> Config:
    """Return the config of one method of a preset, or of a TOML file.

    Args:
        name: a preset's name or the path of a TOML file.
        method: ``bayes``, ``straight-through``, ``full-precision``, ``gaussian``, ``ebp``, ``ebp-real`` or
            one that the file defines; by default the first that it lists.
        seed: training seed; by default the file's own, or 0.
        data_dir: the folder of the data set's files, short for ``data={"path": ...}``.
        trust: allow the import of classes of your own that the file names.
        **overrides: tables of keys to override, for example ``train={"epochs": 20}``.

    Raises:
        ConfigError: if a name, table, key or value is wrong.

    Example:
        >>> config = load_preset("two-moons", "bayes", train={"epochs": 5}, seed=3)
        >>> config.train.epochs, config.seed
        (5, 3)
    """
    tables = load_source(os.fspath(name))
    if data_dir is not None:
        overrides = {**overrides, "data": {**overrides.get("data", {}), "path": os.fspath(data_dir)}}
    return resolve(tables, method or methods_of(tables)[0], overrides=overrides, seed=seed, trust=trust)


__all__ = ["Config", "load_preset", "load_run", "run"]
