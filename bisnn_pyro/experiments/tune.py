"""Tuning every method alike: the same number of trials and epochs, on validation NLL, all of them saved."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tomli_w
from scipy.stats import qmc

from bisnn_pyro.errors import ConfigError, DivergenceError, RunFolderError
from bisnn_pyro.experiments.batch import each, plan
from bisnn_pyro.experiments.build import build_task
from bisnn_pyro.experiments.config import Config, Range, flat_keys
from bisnn_pyro.experiments.resolve import apply_overrides, load_source
from bisnn_pyro.experiments.run import fit, new_fit
from bisnn_pyro.files import write_whole
from bisnn_pyro.inference import steady_process
from bisnn_pyro.storage import strict_json
from bisnn_pyro.storage.replacing import beside, held, take_over
from bisnn_pyro.toml import parse_overrides

TUNING_SEED = 1000
"""Trials train on seeds from here on, which no reported result uses."""

Setting = dict[str, Any]


@dataclass(frozen=True)
class Trial:
    """One setting of one method, trained for the epochs of one rung.

    Attributes:
        method: its name.
        number: its place in the search, from 0.
        setting: value of each searched key.
        rung: from 0; the last one has the config's own epochs.
        epochs: how many it is trained for.
        val_nll: mean over seeds of the best validation NLL of hard draws; infinite where training diverged.
        seconds: training time, all seeds together.
    """

    method: str
    number: int
    setting: Setting
    rung: int = 0
    epochs: int = 0
    val_nll: float = math.nan
    seconds: float = math.nan

    @property
    def key(self) -> tuple[str, int, int]:
        """What tells it from the others: method, rung and number."""
        return self.method, self.rung, self.number


@dataclass(frozen=True)
class Rungs:
    """Successive halving (Jamieson and Talwalkar, AISTATS 2016): short trainings first, the best ones longer.

    *Assumes* that the order after a share of the epochs, with schedules of that length, resembles the order
    after all of them.  *Fails* for settings that start slowly, such as a small learning rate: they are gone
    before the last rung.  One notices by survivors that crowd at the fast end of a range.

    Args:
        number: how many rungs; one trains every setting for all epochs.
        keep: share of a method's trials that goes on to the next rung, rounded up.
        first_share: share of the epochs in the first rung; those between grow by a constant factor.

    Raises:
        ConfigError: if a number is out of range.

    Example:
        >>> Rungs(3).shares(), Rungs(3, keep=0.5).survivors(5)
        ([0.25, 0.5, 1.0], 3)
    """

    number: int = 1
    keep: float = 1 / 3
    first_share: float = 0.25

    def __post_init__(self) -> None:
        if self.number < 1 or not 0 < self.keep < 1 or not 0 < self.first_share < 1:
            raise ConfigError(
                f"--rungs {self.number} --keep {self.keep:g} --first-share {self.first_share:g}: expected at "
                "least 1 rung, and shares between 0 and 1"
            )

    def shares(self) -> list[float]:
        """Return the share of the epochs in each rung."""
        last = self.number - 1
        return [self.first_share ** ((last - rung) / last) if last else 1.0 for rung in range(self.number)]

    def survivors(self, n: int) -> int:
        """Return how many of n trials go on."""
        return math.ceil(self.keep * n - 1e-9)  # a third of 24 is 8


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


def propose(configs: Sequence[Config], n_trials: int, seed: int = 0) -> dict[str, list[Setting]]:
    """Return ``n_trials`` settings for each method, from one scrambled Sobol sequence over all keys.

    A key that several methods search has the same points in all of them, so methods with the same range
    try the same values.
    """
    spaces = {config.method: search_space(config) for config in configs}
    keys = list(dict.fromkeys(key for space in spaces.values() for key in space))
    exponent = math.ceil(math.log2(max(n_trials, 2)))
    points = qmc.Sobol(len(keys), seed=np.random.default_rng(seed)).random_base2(exponent)[:n_trials]
    column = dict(zip(keys, points.T, strict=True))
    return {
        method: [{key: _at(c, float(column[key][k])) for key, c in space.items()} for k in range(n_trials)]
        for method, space in spaces.items()
    }


def _at(choice: Range | list[Any], u: float) -> Any:
    if isinstance(choice, list):
        return choice[min(int(u * len(choice)), len(choice) - 1)]
    if choice.log:
        value = math.exp(math.log(choice.low) + u * math.log(choice.high / choice.low))
    else:
        value = choice.low + u * (choice.high - choice.low)
    return round(value) if choice.integer else float(f"{value:.3g}")


def tune(
    source: str,
    n_trials: int,
    out: str | os.PathLike[str] | None = None,
    *,
    methods: Sequence[str] = (),
    n_seeds: int = 1,
    rungs: Rungs | None = None,
    overrides: Sequence[str] = (),
    jobs: int = 1,
    overwrite: bool = False,
    resume: bool = False,
    report: Callable[[Trial], None] | None = None,
    trust: bool = False,
) -> Path:
    """Search each method's space with the same budget; write all trials and the tuned config.

    Args:
        source: a preset's name or a TOML file with ``[tune]`` tables: the common one for what all methods
            share, ``[method.NAME.tune]`` for a method's own.
        n_trials: settings tried for each method.
        out: folder; ``runs/<experiment>/tune`` by default.
        methods: those to tune; all that the source lists by default.
        n_seeds: training seeds per trial.
        rungs: of successive halving; None trains every trial for all epochs.
        overrides: ``table.key=value`` strings.
        jobs: processes.
        overwrite: search anew where trials are there already.
        resume: keep the trials that are there, of the same search, and run the others.
        report: called after each trial that is run.
        trust: allow the import of classes of the user's own that the source names.

    Returns:
        The folder: ``trials.csv``, ``plan.json`` for resuming, and ``tuned.toml``, the source with these
        overrides and each method's best setting.

    Raises:
        RunFolderError: if the folder holds trials already, or those to resume are of another search.
        DivergenceError: if every trial of a method diverged.
    """
    configs = plan(source, methods, overrides=overrides, trust=trust)
    place = Path("runs") / configs[0].experiment / "tune" if out is None else Path(out)
    rungs = rungs or Rungs()
    proposals = propose(configs, n_trials)
    search = {"rungs": vars(rungs), "seeds": n_seeds, "settings": proposals, "methods": _plain(configs)}
    with held(place):
        new = beside(place)
        # A finished search stays until the one that replaces it is finished.
        apart = new.is_dir() if resume else overwrite and (place / "trials.csv").is_file()
        folder = new if apart else place
        trials = _begin(folder, search, overwrite=overwrite, resume=resume)
        # Methods take turns, so that whatever drifts (a warm machine, a cut) touches all alike.
        waiting = [Trial(c.method, k, proposals[c.method][k]) for k in range(n_trials) for c in configs]
        for rung, share in enumerate(rungs.shares()):
            settings = [_of_rung(t, rung, share, source, overrides, trust) for t in waiting]
            todo = [t for t in settings if t.key not in trials]
            work = [(source, t, tuple(overrides), n_seeds, jobs > 1, trust) for t in todo]
            for _, trial in each(_run_trial, work, jobs):
                trials[trial.key] = trial
                _write_trials(folder / "trials.csv", trials.values())
                if report is not None:
                    report(trial)
            if any(t.key not in trials for t in settings):
                raise KeyboardInterrupt  # Ctrl-C between two trials of several jobs
            waiting = _survivors([trials[t.key] for t in settings], rungs)
        tables = apply_overrides(load_source(source), parse_overrides(overrides), trust=trust)
        _write_tuned(folder / "tuned.toml", tables, best_trials(trials.values(), rungs.number - 1))
        if folder != place:
            take_over(folder, place)
    return place


def _of_rung(
    trial: Trial, rung: int, share: float, source: str, overrides: Sequence[str], trust: bool
) -> Trial:
    """Return the trial with the epochs of a rung, a share of its setting's."""
    (config,) = plan(source, [trial.method], overrides=_values(trial, overrides), trust=trust)
    return replace(trial, rung=rung, epochs=max(1, round(share * config.train.epochs)))


def _survivors(trials: Sequence[Trial], rungs: Rungs) -> list[Trial]:
    """Return the best trials of each method, methods in turn; those that diverged never go on."""
    kept = []
    for method in dict.fromkeys(t.method for t in trials):
        own = sorted((t for t in trials if t.method == method), key=_rank)
        kept += [t for t in own[: rungs.survivors(len(own))] if math.isfinite(t.val_nll)]
    return sorted(kept, key=lambda t: t.number)


def _rank(trial: Trial) -> tuple[float, int]:
    """Order trials by validation NLL, ties by number: the same in whatever order they finish."""
    return trial.val_nll, trial.number


# -- a search on disk -------------------------------------------------------------------------------


def _plain(configs: Sequence[Config]) -> dict[str, Any]:
    """Return what of the configs changes a result: a folder of data may move."""
    found = {}
    for config in configs:
        tables = config.replace("train.threads", None).to_dict()
        found[config.method] = tables | {"data": config.data_settings}
    return found


def _begin(
    folder: Path, search: Mapping[str, Any], *, overwrite: bool, resume: bool
) -> dict[tuple[str, int, int], Trial]:
    """Return the trials to keep, and write down which search this is."""
    table, record = folder / "trials.csv", folder / "plan.json"
    search = strict_json.loads(strict_json.dumps(search))
    if table.exists() and not overwrite:
        if not resume:
            raise RunFolderError(
                f"{folder} holds trials already; use --resume to go on, --overwrite, or another --out"
            )
        try:
            then = strict_json.read(record) if record.is_file() else {}
        except (OSError, ValueError) as error:
            raise RunFolderError(f"cannot read {record}: {error}; use --overwrite to search anew") from error
        changed = sorted({key for key, _ in flat_keys(then) ^ flat_keys(search)})
        if changed:
            more = f" and {len(changed) - 5} more" if len(changed) > 5 else ""
            raise RunFolderError(
                f"{folder} holds trials of another search (different: {', '.join(changed[:5])}{more}); "
                "resume it with the same one, or use --overwrite"
            )
        return _read_trials(table, search["settings"])
    table.unlink(missing_ok=True)
    strict_json.write(record, search)
    return {}


def _read_trials(path: Path, settings: Mapping[str, Sequence[Setting]]) -> dict[tuple[str, int, int], Trial]:
    try:
        rows = pd.read_csv(path).to_dict("records")
        trials = [
            Trial(
                row["method"],
                row["trial"],
                settings[row["method"]][row["trial"]],
                *(row[key] for key in ("rung", "epochs", "val_nll", "seconds")),
            )
            for row in rows
        ]
    except (ValueError, LookupError, TypeError) as error:
        raise RunFolderError(f"{path} cannot be read ({error}); use --overwrite to search anew") from error
    return {trial.key: trial for trial in trials}


def _values(trial: Trial, overrides: Sequence[str], **more: Any) -> list[str]:
    """Return overrides with a trial's, which are its method's own: nothing in a file or in ``--set`` wins."""
    own = trial.setting | more
    return [*overrides, *(f"method.{json.dumps(trial.method)}.{key}={_toml(own[key])}" for key in own)]


def _run_trial(work: tuple[str, Trial, tuple[str, ...], int, bool, bool]) -> Trial:
    source, trial, overrides, n_seeds, single, trust = work
    values = _values(trial, overrides, **{"train.epochs": trial.epochs})
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
    # As trials.csv has them, so that a resumed search decides alike.
    return replace(trial, val_nll=float(f"{np.mean(scores):.6g}"), seconds=round(seconds, 1))


def _toml(value: Any) -> str:
    return tomli_w.dumps({"x": value}).partition("=")[2].strip()


def best_trials(trials: Iterable[Trial], rung: int = 0) -> dict[str, Trial]:
    """Return the trial of the least validation NLL of each method in one rung; of ties, the first.

    Raises:
        DivergenceError: if every trial of a method diverged.
    """
    best = {}
    trials = list(trials)
    for method in dict.fromkeys(t.method for t in trials):
        own = [t for t in trials if t.method == method and t.rung == rung and math.isfinite(t.val_nll)]
        if not own:
            raise DivergenceError(f"every trial of {method!r} diverged; lower its ranges in [tune]")
        best[method] = min(own, key=_rank)
    return best


def _write_trials(path: Path, trials: Iterable[Trial]) -> None:
    frame = pd.DataFrame(
        [
            {"method": t.method, "trial": t.number, "rung": t.rung, "epochs": t.epochs, **t.setting}
            | {"val_nll": f"{t.val_nll:.6g}", "seconds": f"{t.seconds:.1f}"}
            for t in sorted(trials, key=lambda t: t.key)
        ],
        dtype=object,  # whole numbers stay whole where another method has no value
    )
    last = ["val_nll", "seconds"]
    text = frame[[*frame.columns.difference(last, sort=False), *last]].to_csv(index=False)
    write_whole(path, text.encode())


def _write_tuned(path: Path, tables: dict[str, Any], best: Mapping[str, Trial]) -> None:
    tables["methods"] = list(best)
    for method, trial in best.items():
        own = tables.setdefault("method", {}).setdefault(method, {})
        for key, value in trial.setting.items():
            *parents, last = key.split(".")
            table = own
            for parent in parents:
                table = table.setdefault(parent, {})
            table[last] = value
    write_whole(path, tomli_w.dumps(tables).encode())
