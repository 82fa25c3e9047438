"""An experiment: its methods on the same data, over seeds, and one table of the lot."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bisnn_pyro.errors import ConfigError, RunFolderError
from bisnn_pyro.experiments.config import Config
from bisnn_pyro.experiments.folder import RunFolder
from bisnn_pyro.experiments.pool import each
from bisnn_pyro.experiments.resolve import load_source, methods_of, resolve
from bisnn_pyro.experiments.run import RunResult, run
from bisnn_pyro.experiments.summary import Summary, summarise_runs


@dataclass(frozen=True)
class BatchResult:
    """What :func:`run_experiment` did.

    Attributes:
        out: the folder of the runs.
        runs: the runs that were made, in the order in which they finished.
        summary: table and figures across them; ``None`` where Ctrl-C ended the batch.
    """

    out: Path
    runs: tuple[RunResult, ...]
    summary: Summary | None

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended the batch."""
        return self.summary is None


def plan(
    source: str, methods: Sequence[str] = (), seeds: Sequence[int] = (0,), overrides: Iterable[str] = ()
) -> list[Config]:
    """Return the validated configs of all methods and seeds, seed by seed.

    Args:
        source: a preset's name or a TOML file.
        methods: those to run; all that the source lists by default.
        seeds: training seeds.
        overrides: ``table.key=value`` strings.
    """
    tables = load_source(source)
    overrides = list(overrides)
    names = list(methods) or methods_of(tables)
    return [resolve(tables, m, overrides=overrides, seed=s) for s in seeds for m in names]


def run_experiment(
    configs: Sequence[Config],
    out: str | os.PathLike[str] | None = None,
    *,
    overwrite: bool = False,
    resume: bool = False,
    jobs: int = 1,
    progress: bool = False,
    report: Callable[[Config, RunResult], None] | None = None,
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

    Raises:
        InputError: before anything is written, if a config or a folder cannot be used.
    """
    out = Path("runs") / configs[0].experiment if out is None else Path(out)
    todo = [c for c in configs if not (resume and RunFolder.of(c, out).finished)]
    if not overwrite and not resume:
        _refuse_occupied(todo, out)
    if jobs > 1:
        todo = [_single_threaded(c) for c in todo]
    work = partial(run, out=out, overwrite=overwrite, resume=resume, progress=progress and jobs <= 1)
    runs: list[RunResult] = []
    for config, result in each(work, todo, jobs):
        runs.append(result)
        if report is not None:
            report(config, result)
        if result.interrupted and jobs <= 1:
            break
    complete = len(runs) == len(todo) and not any(r.interrupted for r in runs)
    summary = summarise_runs(out, [RunFolder.of(c, out) for c in configs]) if complete else None
    return BatchResult(out, tuple(runs), summary)


def _refuse_occupied(configs: Sequence[Config], out: Path) -> None:
    taken = [f for f in (RunFolder.of(c, out) for c in configs) if f.path.exists() and any(f.path.iterdir())]
    if taken:
        names = ", ".join(f.path.name for f in taken)
        raise RunFolderError(
            f"{out} already holds {names}; use --overwrite to run over, --resume to go on, or another --out"
        )


def _single_threaded(config: Config) -> Config:
    """Two runs on one thread each use two cores better than one run on two."""
    if config.train.threads is not None:
        return config
    return config.model_copy(update={"train": config.train.model_copy(update={"threads": 1})})


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
        raise ConfigError(f"--seeds {text!r} is not of the form 3, 0-4 or 0,2,5 (each seed once)")
    return seeds
