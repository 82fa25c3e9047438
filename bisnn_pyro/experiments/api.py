"""The short Python path: a preset, a run, a posterior."""

from __future__ import annotations

from typing import Any

from bisnn_pyro.experiments.config import Config
from bisnn_pyro.experiments.fitted import load_run
from bisnn_pyro.experiments.resolve import load_source, resolve
from bisnn_pyro.experiments.run import run


def load_preset(name: str, method: str = "bayes", *, seed: int = 0, **overrides: Any) -> Config:
    """Return the config of one method of a preset, or of a TOML file.

    Args:
        name: a preset's name or the path of a TOML file.
        method: ``bayes``, ``straight-through``, ``full-precision``, ``gaussian``.
        seed: training seed.
        **overrides: tables of keys to override, for example ``train={"epochs": 20}``.
    """
    import tomli_w

    flat = []
    for table, keys in overrides.items():
        for key, value in keys.items():
            flat.append(f"{table}.{key}={tomli_w.dumps({'x': value}).partition('=')[2].strip()}")
    return resolve(load_source(name), method, overrides=flat, seed=seed)


__all__ = ["Config", "load_preset", "load_run", "run"]
