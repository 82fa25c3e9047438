"""Tuning every method alike: the same number of trials, on validation NLL, all of them saved."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tomli_w
from scipy.stats import qmc

from bisnn_pyro.errors import ConfigError, DivergenceError, RunFolderError
from bisnn_pyro.experiments.batch import each, plan
from bisnn_pyro.experiments.build import build_task
from bisnn_pyro.experiments.config import Config, Range
from bisnn_pyro.experiments.resolve import apply_overrides, load_source, parse_overrides
from bisnn_pyro.experiments.run import fit, new_fit
from bisnn_pyro.files import atomic_path
from bisnn_pyro.inference import steady_process

TUNING_SEED = 1000
"""Trials train on seeds from here on, which no reported result uses."""

Setting = dict[str, Any]


@dataclass(frozen=True)
class Trial:
    """One setting of one method.

    Attributes:
        method: its name.
        number: its place in the search, from 0.
        setting: value of each searched key.
        val_nll: mean over seeds of the best validation NLL of hard draws; infinite where training diverged.
        seconds: training time, all seeds together.
    """

    method: str
    number: int
    setting: Setting
    val_nll: float = math.nan
    seconds: float = math.nan


def search_space(config: Config) -> dict[str, Range | list[Any]]:
    """Return the keys that a config says to search, each with an interval or a list of values.

    Raises:
        ConfigError: if nothing is to be searched.
    """
    if not config.tune:
        raise ConfigError(
            f"method {config.method!r} of {config.experiment!r} has nothing to tune; add for example\n"
            '[tune]\n"rule.lr" = { low = 0.001, high = 1.0, log = true }'
        )
    return {key: Range(**c) if isinstance(c, dict) else c for key, c in config.tune.to_dict().items()}


def propose(config: Config, n_trials: int, seed: int = 0) -> list[Setting]:
    """Return ``n_trials`` settings from a scrambled Sobol sequence over the search space."""
    space = search_space(config)
    exponent = math.ceil(math.log2(max(n_trials, 2)))
    points = qmc.Sobol(len(space), seed=np.random.default_rng(seed)).random_base2(exponent)[:n_trials]
    return [
        {key: _at(choice, float(u)) for (key, choice), u in zip(space.items(), point, strict=True)}
        for point in points
    ]


def _at(choice: Range | list[Any], u: float) -> Any:
    if isinstance(choice, list):
        return choice[min(int(u * len(choice)), len(choice) - 1)]
    if choice.log:
        value = math.exp(math.log(choice.low) + u * math.log(choice.high / choice.low))
    else:
        value = choice.low + u * (choice.high - choice.low)
    return float(f"{value:.3g}")


def tune(
    source: str,
    n_trials: int,
    out: str | os.PathLike[str] | None = None,
    *,
    methods: Sequence[str] = (),
    n_seeds: int = 1,
    overrides: Sequence[str] = (),
    jobs: int = 1,
    overwrite: bool = False,
    report: Callable[[Trial], None] | None = None,
    trust: bool = False,
) -> Path:
    """Search each method's space with the same budget; write all trials and the tuned config.

    Args:
        source: a preset's name or a TOML file with ``[tune]`` tables.
        n_trials: settings tried for each method.
        out: folder; ``runs/<experiment>/tune`` by default.
        methods: those to tune; all that the source lists by default.
        n_seeds: training seeds per trial.
        overrides: ``table.key=value`` strings.
        jobs: processes.
        overwrite: search anew where trials are there already.
        report: called after each trial.
        trust: allow the import of classes of the user's own that the source names.

    Returns:
        The folder: ``trials.csv``, and ``tuned.toml``, the source with these overrides and each method's
        best setting.

    Raises:
        RunFolderError: if the folder holds trials already.
        DivergenceError: if every trial of a method diverged.
    """
    configs = plan(source, methods, overrides=overrides, trust=trust)
    folder = Path("runs") / configs[0].experiment / "tune" if out is None else Path(out)
    if (folder / "trials.csv").exists() and not overwrite:
        raise RunFolderError(f"{folder} holds trials already; use --overwrite, or another --out")
    proposals = {c.method: propose(c, n_trials) for c in configs}
    # Methods take turns, so that whatever drifts (a warm machine, a cut) touches all alike.
    work = [
        (source, Trial(c.method, k, proposals[c.method][k]), tuple(overrides), n_seeds, jobs > 1, trust)
        for k in range(n_trials)
        for c in configs
    ]
    trials: list[Trial] = []
    for _, trial in each(_run_trial, work, jobs):
        trials.append(trial)
        _write_trials(folder / "trials.csv", trials)
        if report is not None:
            report(trial)
    tables = apply_overrides(load_source(source), parse_overrides(overrides), trust=trust)
    _write_tuned(folder / "tuned.toml", tables, trials)
    return folder


def _run_trial(work: tuple[str, Trial, tuple[str, ...], int, bool, bool]) -> Trial:
    source, trial, overrides, n_seeds, single, trust = work
    values = [*overrides, *(f"{key}={_toml(value)}" for key, value in trial.setting.items())]
    scores, seconds = [], 0.0
    for seed in range(TUNING_SEED, TUNING_SEED + n_seeds):
        (config,) = plan(source, [trial.method], [seed], values, trust=trust)
        with steady_process(1 if single else config.train.get("threads")):
            task = build_task(config, trust=trust)
            if not len(task.val):
                raise ConfigError("the data keep no validation examples to tune on; set data.n_val")
            try:
                results = fit(new_fit(config, task, trust=trust), task, trust=trust)
            except DivergenceError:
                scores.append(math.inf)
                continue
        if results[-1].interrupted:
            raise KeyboardInterrupt
        seconds += sum(result.seconds for result in results)
        best = [min(row["val_nll"] for row in result.history if "val_nll" in row) for result in results]
        scores.append(float(np.mean(best)))  # of a mixture's components, each by itself
    return Trial(trial.method, trial.number, trial.setting, float(np.mean(scores)), seconds)


def _toml(value: Any) -> str:
    return tomli_w.dumps({"x": value}).partition("=")[2].strip()


def best_trials(trials: Sequence[Trial]) -> dict[str, Trial]:
    """Return the trial of the least validation NLL of each method."""
    best: dict[str, Trial] = {}
    for trial in trials:
        if trial.method not in best or trial.val_nll < best[trial.method].val_nll:
            best[trial.method] = trial
    return best


def _write_trials(path: Path, trials: Sequence[Trial]) -> None:
    frame = pd.DataFrame(
        [
            {"method": t.method, "trial": t.number, **t.setting, "val_nll": f"{t.val_nll:.6g}"}
            | {"seconds": f"{t.seconds:.1f}"}
            for t in sorted(trials, key=lambda t: (t.method, t.number))
        ],
        dtype=object,  # whole numbers stay whole where another method has no value
    )
    last = ["val_nll", "seconds"]
    with atomic_path(path) as temporary:
        frame[[*frame.columns.difference(last, sort=False), *last]].to_csv(temporary, index=False)


def _write_tuned(path: Path, tables: dict[str, Any], trials: Sequence[Trial]) -> None:
    tables["methods"] = list(best_trials(trials))
    for method, trial in best_trials(trials).items():
        if not math.isfinite(trial.val_nll):
            raise DivergenceError(f"every trial of {method!r} diverged; lower its ranges in [tune]")
        own = tables.setdefault("method", {}).setdefault(method, {})
        for key, value in trial.setting.items():
            *parents, last = key.split(".")
            table = own
            for parent in parents:
                table = table.setdefault(parent, {})
            table[last] = value
    with atomic_path(path) as temporary:
        temporary.write_text(tomli_w.dumps(tables))
