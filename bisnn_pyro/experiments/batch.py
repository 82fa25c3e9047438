"""An experiment: its methods on the same data, over seeds and folds, and one table of the lot."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bisnn_pyro.errors import BisnnError, ConfigError, InputError, RunFolderError
from bisnn_pyro.experiments.config import Config, flat_keys
from bisnn_pyro.experiments.folder import RunFolder, find_runs
from bisnn_pyro.experiments.folds import check_folds, each_fold
from bisnn_pyro.experiments.pool import each
from bisnn_pyro.experiments.resolve import load_source, methods_of, parse_overrides, resolve
from bisnn_pyro.experiments.run import RunResult, finished_alike, run
from bisnn_pyro.experiments.summary import Summary, summarise_runs


@dataclass(frozen=True)
class BatchResult:
    """What :func:`run_experiment` did.

    Attributes:
        out: the folder of the runs.
        runs: the runs that were made, in the order in which they finished.
        failures: configs whose training failed, and why.
        summary: table and figures across all comparable runs of the folder; ``None`` without any.
        left_out: finished runs of the folder that are not in the summary, and why.
        interrupted: whether Ctrl-C ended the batch.
    """

    out: Path
    runs: tuple[RunResult, ...]
    failures: tuple[tuple[Config, BisnnError], ...]
    summary: Summary | None
    left_out: tuple[str, ...]
    interrupted: bool


def plan(
    source: str,
    methods: Sequence[str] = (),
    seeds: Sequence[int | None] = (None,),
    overrides: Iterable[str] = (),
    n_folds: int | None = None,
) -> list[Config]:
    """Return the validated configs of all methods, seeds and folds, seed by seed and fold by fold.

    Args:
        source: a preset's name or a TOML file.
        methods: those to run; all that the source lists by default.
        seeds: training seeds; ``None`` is the source's own, or 0.
        overrides: ``table.key=value`` strings.
        n_folds: K, to cross-validate: a config for each of K folds of the data.

    Raises:
        ConfigError: if anything is wrong, a method is named twice, or the data have no folds.
    """
    tables = load_source(source)
    changes = parse_overrides(overrides)
    names = list(methods) or methods_of(tables)
    if len(set(names)) != len(names):
        raise ConfigError(f"a method is named twice: {', '.join(names)}")
    parts = [changes] if n_folds is None else each_fold(changes, n_folds)
    configs = [resolve(tables, m, overrides=p, seed=s) for s in seeds for p in parts for m in names]
    if n_folds is not None:
        check_folds(configs)
    return configs


def run_experiment(
    configs: Sequence[Config],
    out: str | os.PathLike[str] | None = None,
    *,
    overwrite: bool = False,
    resume: bool = False,
    jobs: int = 1,
    progress: bool = False,
    report: Callable[[Config, RunResult], None] | None = None,
    command: str | None = None,
) -> BatchResult:
    """Run several configs into one folder and summarise them.

    Args:
        configs: from :func:`plan`.
        out: ``runs/<experiment>`` by default.
        overwrite: run over folders that are there.
        resume: finish interrupted runs and keep finished ones.
        jobs: processes; with more than one, each runs on one thread.
        progress: show progress bars (with one job).
        report: called after each run.
        command: the command line that started this, for the runs' record.

    Raises:
        InputError: before anything is written, if a config or a folder cannot be used.
    """
    out = Path("runs") / configs[0].experiment if out is None else Path(out)
    todo = [c for c in configs if not (resume and finished_alike(RunFolder.of(c, out), c))]
    if not overwrite and not resume:
        _refuse_occupied(todo, out)
    # Two runs on one thread each use two cores better than one run on two.
    work = partial(
        _attempt,
        out=out,
        overwrite=overwrite,
        resume=resume,
        progress=progress and jobs <= 1,
        n_threads=1 if jobs > 1 else None,
        command=command,
    )
    runs: list[RunResult] = []
    failures: list[tuple[Config, BisnnError]] = []
    for config, result in each(work, todo, jobs):
        if isinstance(result, BisnnError):
            failures.append((config, result))
            continue
        runs.append(result)
        if report is not None:
            report(config, result)
        if result.interrupted and jobs <= 1:
            break
    complete = len(runs) + len(failures) == len(todo) and not any(r.interrupted for r in runs)
    folders, left_out = comparable_runs(out, configs) if complete else ([], [])
    summary = summarise_runs(out, folders) if folders else None
    return BatchResult(out, tuple(runs), tuple(failures), summary, tuple(left_out), interrupted=not complete)


def _attempt(config: Config, **settings: Any) -> RunResult | BisnnError:
    """Run; a run that fails (bad input apart) must not take the others with it."""
    try:
        return run(config, **settings)
    except InputError:
        raise
    except BisnnError as error:
        return error


def comparable_runs(out: Path, configs: Sequence[Config]) -> tuple[list[RunFolder], list[str]]:
    """Return the finished runs in ``out`` that belong in one table with these, and why others do not.

    Earlier runs of other methods, seeds or folds do.  Runs on other data, encodings or draws do not, nor
    do runs of the same method with other settings: an interval over seeds must be over seeds alone.
    """
    same = _shared_settings(configs[0])
    settings: dict[str, set[tuple[str, str]]] = {c.method: _all_but_seed(c) for c in configs}
    order = {method: k for k, method in enumerate(settings)}
    found, left_out = [], []
    for folder in find_runs(out):
        c = folder.read_config()
        shared = _shared_settings(c) == same
        differing = settings.setdefault(c.method, _all_but_seed(c)) ^ _all_but_seed(c) if shared else set()
        if shared and not differing:
            found.append((order.get(c.method, len(order)), c.method, c.fold or 0, c.seed, folder))
        else:
            keys = ", ".join(sorted({key for key, _ in differing})) or "data, encoder, predict or analysis"
            left_out.append(f"{folder.path} (other settings: {keys})")
    return [folder for *_, folder in sorted(found, key=lambda item: item[:4])], left_out


def _shared_settings(config: Config) -> tuple[Any, ...]:
    """Return what all runs of a table have in common; a fold and a single split are two things."""
    data = config.data_settings
    return data.pop("fold", None) is None, data, config.encoder, config.predict, config.analysis


def _all_but_seed(config: Config) -> set[tuple[str, str]]:
    ignored = (
        "seed",
        "data.fold",
        "data.path",
        "data.cache",
        "description",
        "experiment",
        "train.threads",
        "train.checkpoint_every",
    )
    return {pair for pair in flat_keys(config.to_dict()) if pair[0] not in ignored and "tune" not in pair[0]}


def _refuse_occupied(configs: Sequence[Config], out: Path) -> None:
    taken = [f for f in (RunFolder.of(c, out) for c in configs) if f.path.exists() and any(f.path.iterdir())]
    if taken:
        names = ", ".join(f.path.name for f in taken)
        raise RunFolderError(
            f"{out} already holds {names}; use --overwrite to run over, --resume to go on, or another --out"
        )


def parse_seeds(text: str) -> list[int]:
    """Return the seeds of ``"3"``, ``"0-4"`` or ``"0,2,5"``.

    Raises:
        ConfigError: if it is none of these.
    """
    seeds: list[int] = []
    try:
        for part in text.split(","):
            first, dash, last = part.partition("-")
            seeds += range(int(first), int(last) + 1) if dash else [int(first)]
    except ValueError:
        seeds = []
    if not seeds or len(set(seeds)) != len(seeds):
        raise ConfigError(
            f"--seeds {text!r} is not of the form 3, 0-4 or 0,2,5, each seed once and ascending ranges"
        )
    return seeds
