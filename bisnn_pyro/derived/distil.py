"""Distillation: the config of one network that is trained on a committee's votes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bisnn_pyro.errors import ConfigError
from bisnn_pyro.experiments import parts
from bisnn_pyro.experiments.config import Config
from bisnn_pyro.experiments.distil import check_same_data, sha256
from bisnn_pyro.experiments.folder import RunFolder
from bisnn_pyro.experiments.resolve import METHOD_GUIDES, load_source, resolve

DISTILLED = "distilled"
"""The method of a student, by which tables and legends name it."""

RATE = {"steps": "rate", "bernoulli-steps": "bernoulli-rate", "categorical-steps": "categorical-rate"}
"""Likelihoods of each step, and those of the vote.  Matched at every step, a mean over steps is too sure."""


def student(
    teacher: str | os.PathLike[str],
    *,
    method: str = "straight-through",
    source: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    mix: float | None = None,
    predictor: str | None = None,
    seed: int | None = None,
    trust: bool = False,
) -> Config:
    """Return the config of a student of a finished run, for :func:`bisnn_pyro.run`.

    The student has the teacher's data, and its other tables too, except guide and rule, which are the
    method's; or those of another source.  Its method is called ``distilled``.  A likelihood of each step
    becomes that of the time-averaged read-out, which is what votes: a student whose every step says q has a
    vote that is surer than q.

    Args:
        teacher: a finished run's folder.
        method: whose guide the student has.
        source: a preset or TOML file that has this method, for its settings instead of the teacher's.
        overrides: tables of keys to override.
        mix: as ``distil.mix``, over which it wins; 1 by default.
        predictor: as ``distil.predictor``.
        seed: training seed; the teacher's by default.
        trust: allow the import of classes of the user's own.

    Raises:
        RunFolderError: if the teacher cannot be read.
        ConfigError: if a setting is wrong, or the student's data are others than the teacher's.
    """
    folder = RunFolder.at(Path(os.path.expanduser(teacher)).absolute())
    config = folder.read_config()
    given = {"mix": mix, "predictor": predictor, "teacher": str(folder.path), "sha256": sha256(folder)}
    lesson = {key: value for key, value in given.items() if value is not None}
    if source is None:
        tables = _switched(config, method, trust)
        name = DISTILLED
    else:
        tables, name = load_source(source), method
        tables |= {"experiment": config.experiment, "data": config.data.to_dict()}
    likelihood = tables.get("likelihood", {"name": "steps"})
    tables["likelihood"] = likelihood | {"name": RATE.get(likelihood["name"], likelihood["name"])}
    changes = {**(overrides or {}), "distil": {**(overrides or {}).get("distil", {}), **lesson}}
    seed = config.seed if seed is None else seed
    found = replace(resolve(tables, name, overrides=changes, seed=seed, trust=trust), method=DISTILLED)
    check_same_data(found, config)
    return found


def _switched(config: Config, method: str, trust: bool) -> dict[str, Any]:
    """Return a config's tables with the guide of another method, and the rest that it needs."""
    if method not in METHOD_GUIDES:
        raise ConfigError(f"--method {method!r} is not one of {', '.join(METHOD_GUIDES)}")
    tables = config.to_dict() | {"method": DISTILLED, "guide": {"name": METHOD_GUIDES[method]}}
    before, after = (parts.find("guide", t["name"], trust=trust) for t in (config.guide, tables["guide"]))
    if before is not after and before.default_rule != after.default_rule:
        tables.pop("rule", None)  # another guide's learning rate has no meaning here
    if before.binary != after.binary:
        tables.pop("prior", None)
    for own in ("tune", "distil"):
        tables.pop(own, None)
    if before is after:
        tables["guide"] = config.guide.to_dict()
    return tables
