"""An experiment: its methods on the same data, over seeds and folds, in processes of their own."""

from __future__ import annotations

import copy
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from bisnn_pyro.errors import BisnnError, ConfigError, InputError, RunFolderError
from bisnn_pyro.experiments import parts
from bisnn_pyro.experiments.config import Config
from bisnn_pyro.experiments.folder import RunFolder
from bisnn_pyro.experiments.resolve import load_source, methods_of, resolve
from bisnn_pyro.experiments.run import RunResult, finished_alike, run
from bisnn_pyro.inference import StopRequest, listen_to
from bisnn_pyro.inference.process import without_interrupts
from bisnn_pyro.memory import check_memory
from bisnn_pyro.storage.manifest import accept_from_now_on, accepting
from bisnn_pyro.toml import parse_overrides

MAX_RUNS = 10_000
"""Runs of one call."""
JOB_BYTES = 250e6
"""What a process of a job takes at least."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class BatchResult:
    """What :func:`run_experiment` did.

    Attributes:
        out: the folder of the runs.
        runs: the runs that were made, in the order in which they finished.
        failures: configs whose training failed, and why.
        interrupted: whether Ctrl-C ended the batch.
    """

    out: Path
    runs: tuple[RunResult, ...]
    failures: tuple[tuple[Config, BisnnError], ...]
    interrupted: bool


def plan(
    source: str,
    methods: Sequence[str] = (),
    seeds: Sequence[int | None] = (None,),
    overrides: Iterable[str] = (),
    n_folds: int | None = None,
    *,
    trust: bool = False,
) -> list[Config]:
    """Return the validated configs of all methods, seeds and folds, one seed and one fold after the other.

    Args:
        source: a preset's name or a TOML file.
        methods: those to run; all that the source lists by default.
        seeds: training seeds; ``None`` is the source's own, or 0.
        overrides: ``table.key=value`` strings.
        n_folds: K, to cross-validate: one config for each of K folds of the data.
        trust: allow the import of classes of the user's own that the source names.

    Raises:
        ConfigError: if anything is wrong, a method is named twice, or the data have no folds.

    Example:
        >>> [(c.method, c.seed) for c in plan("digits", ["bayes", "straight-through"], [0, 1])]
        [('bayes', 0), ('straight-through', 0), ('bayes', 1), ('straight-through', 1)]
    """
    tables = load_source(source)
    changes = parse_overrides(overrides)
    names = list(methods) or methods_of(tables)
    if len(set(names)) != len(names):
        raise ConfigError(f"a method is named twice: {', '.join(names)}")
    if len(seeds) * (n_folds or 1) * len(names) > MAX_RUNS:
        raise ConfigError(f"--seeds and --folds ask for more than {MAX_RUNS} runs; make several calls")
    folds = [changes] if n_folds is None else _each_fold(tables, changes, n_folds, trust)
    return [
        resolve(tables, m, overrides=fold, seed=s, trust=trust)
        for s in seeds
        for fold in folds
        for m in names
    ]


def _each_fold(
    tables: Mapping[str, Any], changes: Mapping[str, Any], n_folds: int, trust: bool
) -> list[dict[str, Any]]:
    """Return the overrides of every fold: these, ``data.n_folds = K`` and ``data.fold`` from 0 to K-1."""
    if n_folds < 2:
        raise ConfigError(f"--folds is {n_folds}; a cross-validation needs at least 2")
    data = changes.get("data", {})
    if not isinstance(data, Mapping):
        return [dict(changes)]  # refused where overrides are checked
    if {"fold", "n_folds"} & data.keys():
        raise ConfigError(f"--folds {n_folds} sets data.fold and data.n_folds; leave them out of --set")
    name = data.get("name", tables.get("data", {}).get("name", ""))
    if not {"fold", "n_folds"} <= parts.keys("data", name, trust=trust).keys():
        raise ConfigError(
            f"data.name = {name!r} has a fixed test set and no folds, so it takes no --folds; "
            "--seeds 0-4 repeats its runs"
        )
    return [
        {**copy.deepcopy(dict(changes)), "data": {**data, "n_folds": n_folds, "fold": k}}
        for k in range(n_folds)
    ]


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
    trust: bool = False,
) -> BatchResult:
    """Run several configs into one folder.

    Args:
        configs: from :func:`plan`.
        out: ``runs/<experiment>`` by default.
        overwrite: run over folders that are there.
        resume: finish interrupted runs and keep finished ones.
        jobs: processes; with more than one, each runs on one thread.
        progress: show progress bars (with one job).
        report: called after each run.
        command: the command line that started this, for the runs' record.
        trust: allow the import of classes of the user's own that the configs name.

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
        trust=trust,
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
    return BatchResult(out, tuple(runs), tuple(failures), interrupted=not complete)


def _attempt(config: Config, **settings: Any) -> RunResult | BisnnError:
    """Run; a run that fails (bad input apart) must not take the others with it."""
    try:
        return run(config, **settings)
    except InputError:
        raise
    except BisnnError as error:
        return error


def _refuse_occupied(configs: Sequence[Config], out: Path) -> None:
    folders = [f for c in configs for f in (RunFolder.of(c, out), RunFolder.of(c, out).beside)]
    taken = [f for f in folders if f.occupied]
    if taken:
        names = ", ".join(f.path.name for f in taken)
        raise RunFolderError(
            f"{out} already holds {names}; use --overwrite to run over, --resume to go on, "
            "or another --out (in Python: overwrite=True, resume=True, out)"
        )


def parse_seeds(text: str) -> list[int]:
    """Return the seeds of ``"3"``, ``"0-4"`` or ``"0,2,5"``.

    Raises:
        ConfigError: if it has another form.
    """
    seeds: list[int] = []
    try:
        for part in text.split(","):
            first, dash, last = part.partition("-")
            low, high = int(first), int(last if dash else first)
            if high >= 2**63 or high - low >= MAX_RUNS:
                raise ConfigError(f"--seeds {text[:60]!r}: at most {MAX_RUNS} seeds, each below 2^63")
            seeds += range(low, high + 1)
    except ConfigError:
        raise
    except ValueError:
        seeds = []
    if not seeds or len(set(seeds)) != len(seeds):
        raise ConfigError(
            f"--seeds {text[:60]!r} is not of the form 3, 0-4 or 0,2,5, each seed once and ascending ranges"
        )
    return seeds


def _as_here(flag: Any, accept: bool) -> None:
    """Let a worker stop when its parent does, and accept the files that it accepts."""
    listen_to(flag)
    accept_from_now_on(accept)


def each(
    function: Callable[[Item], Result], items: Sequence[Item], jobs: int
) -> Iterator[tuple[Item, Result]]:
    """Yield ``(item, function(item))`` for all items, in the order in which they finish.

    With one job everything runs in this process and in order.  With more, workers ignore Ctrl-C, which
    the parent passes on through a flag that :class:`StopRequest` looks at; no further item is started.

    Args:
        function: a function at module level.
        items: what to call it with; must be picklable for more than one job.
        jobs: number of processes.
    """
    if jobs <= 1 or len(items) <= 1:
        for item in items:
            yield item, function(item)
        return
    n_workers = min(jobs, len(items))
    check_memory({f"{n_workers} processes": n_workers * JOB_BYTES}, "use fewer --jobs")
    context = multiprocessing.get_context("spawn")
    flag = context.Event()
    with (
        ProcessPoolExecutor(n_workers, context, _as_here, (flag, accepting())) as pool,
        StopRequest() as stop,
    ):
        waiting = list(items)
        running: dict[Future[Any], Item] = {}
        while running or (waiting and not stop.requested):
            while waiting and len(running) < jobs and not stop.requested:
                item = waiting.pop(0)
                with without_interrupts():  # a new process must not die of Ctrl-C while it imports
                    running[pool.submit(function, item)] = item
            done, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
            if stop.requested:
                flag.set()
            for future in done:
                yield running.pop(future), future.result()
