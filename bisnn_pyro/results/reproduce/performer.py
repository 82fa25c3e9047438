"""Performs a plan: makes the runs, tables and figures that are missing, and writes ``README.md``."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from bisnn_pyro.data import FOLDER_VARIABLE, published_size
from bisnn_pyro.errors import BisnnError, ConfigError, RunFolderError
from bisnn_pyro.experiments.batch import run_experiment
from bisnn_pyro.experiments.folder import RunFolder, environment
from bisnn_pyro.experiments.run import finished_alike
from bisnn_pyro.files import atomic_path
from bisnn_pyro.results.report.blocks import numbers
from bisnn_pyro.results.reproduce.outputs import OUTPUTS, answer, contrasts, save
from bisnn_pyro.results.reproduce.plan import Batch, Settings, Stage, bisnn_2021
from bisnn_pyro.results.runs import Runs
from bisnn_pyro.results.summary import summarise

PLANS: dict[str, Callable[[Settings], list[Stage]]] = {"bisnn-2021": bisnn_2021}
IDENTITY, ANSWER = "reproduction.json", "bayes-against-straight-through"
HEAD = """# {name}

Made by

    {command}

with the training seeds {seeds}, the settings of the presets (`bisnn show PRESET`), and temperatures fitted on
validation points. The same command makes what is missing. `runs/` holds the run folders, `tables/` each table
as `.tex` (booktabs), `.md` and `.csv`, `figures/` each figure as `.pdf`, `.png` and `.csv`; figures of a single
network show the first seed.
"""
QUICK = """
**Quick:** sizes, epochs and committees are reduced, to check that everything works. The numbers say nothing
about the methods.
"""
HELPS = """
## When the posterior helps

The committee's scores minus those of a straight-through net at its temperature, under all conditions below.

"""


@dataclass(frozen=True)
class Planned:
    """A stage and its state.

    Attributes:
        stage: the stage.
        missing: why its data are not there; None if they are.
        n_runs: the runs that it needs.
        n_finished: how many of them are finished.
        record: what it has made of what is asked for now: ``files``, ``contrasts``, ``versions``; else None.
    """

    stage: Stage
    missing: str | None = None
    n_runs: int = 0
    n_finished: int = 0
    record: dict[str, Any] | None = None

    @property
    def to_do(self) -> str:
        """What stands between the stage and its files."""
        return self.missing or f"to do ({self.n_finished} of {self.n_runs} runs finished)"

    def __str__(self) -> str:
        """Two lines: the name with the state, and the title."""
        state = f"skipped: {self.missing}" if self.missing else self.to_do
        state = f"done ({self.n_runs} runs)" if self.record else state
        return f"{self.stage.name:<18}{state}\n{'':<18}{self.stage.title}"


@dataclass(frozen=True)
class Reproduction:
    """What :func:`reproduce` did: its folder, stages that failed and why, and whether Ctrl-C ended it."""

    out: Path
    failures: tuple[tuple[Stage, BisnnError], ...] = ()
    interrupted: bool = False


def planned(
    name: str, settings: Settings, out: str | os.PathLike[str], only: Sequence[str] = ()
) -> list[Planned]:
    """Return the stages of a reproduction and their states; see :func:`reproduce`. Nothing is written.

    Raises:
        InputError: if there is no such plan or stage, or the folder holds something else.
    """
    if name not in PLANS:
        raise ConfigError(f"there is no reproduction {name!r}; choose from {', '.join(PLANS)}")
    if settings.data_dir is not None and not settings.data_dir.is_dir():
        raise ConfigError(f"--data-dir {settings.data_dir} is not a folder")
    _check_out(Path(out), name, settings)
    stages = PLANS[name](settings)
    names = [stage.name for stage in stages]
    if wrong := [one for one in only if one not in names]:
        raise ConfigError(f"--only {wrong[0]!r} is not one of the stages {', '.join(names)}")
    return [_state(stage, settings, Path(out)) for stage in stages if not only or stage.name in only]


def reproduce(
    name: str,
    settings: Settings,
    out: str | os.PathLike[str],
    *,
    only: Sequence[str] = (),
    report: Callable[..., None] | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Reproduction:
    """Make what is missing of a reproduction: runs, tables, figures, and ``README.md``.

    A stage that fails does not stop the others, and the next call tries it again.

    Args:
        name: a key of :data:`PLANS`.
        settings: the user's.
        out: the reproduction's folder.
        only: names of stages; all by default.
        report: called after each run with its config and result.
        tell: called with a line on each stage.

    Raises:
        InputError: before anything is written, see :func:`planned`.

    Example:
        >>> reproduce("bisnn-2021", Settings(quick=True), "runs/bisnn-2021-quick")  # doctest: +SKIP
    """
    folder, interrupted = Path(out), False
    failures: list[tuple[Stage, BisnnError]] = []
    todo = planned(name, settings, folder, only)
    _write(folder / IDENTITY, json.dumps({"name": name, "quick": settings.quick}) + "\n")
    for stage in [one.stage for one in todo if one.missing is None and one.record is None]:
        tell(f"{stage.name}: {stage.title}")
        try:
            record = perform(stage, settings, folder, report)
        except BisnnError as error:
            failures.append((stage, error))
            tell(f"{stage.name}: failed: {error}")
            continue
        if record is None:
            interrupted = True
            break
        tell(f"{stage.name}: {len(record['files'])} files")
    _write_readme(folder, name, settings, {stage.name: f"failed: {error}" for stage, error in failures})
    return Reproduction(folder, tuple(failures), interrupted)


def perform(
    stage: Stage, settings: Settings, out: Path, report: Callable[..., None] | None = None
) -> dict[str, Any] | None:
    """Make the unfinished runs of a stage, then its tables and figures; return its record.

    Returns:
        None if Ctrl-C ended a run.

    Raises:
        BisnnError: if a run or an output fails; what is finished stays, and is found the next time.
    """
    folders = []
    for batch in stage.batches:
        configs, at = batch.configs(settings.seeds), out / "runs" / batch.experiment
        own = [RunFolder.of(config, at) for config in configs]
        folders += [folder.path for folder in own]
        if all(map(finished_alike, own, configs)):
            continue
        more = {"resume": True, "jobs": settings.jobs, "command": settings.command}
        done = run_experiment(configs, at, report=report, **more)
        for config, error in done.failures:
            raise BisnnError(
                f"{batch.experiment} {config.method} with seed {config.seed}: {error}"
            ) from error
        if done.interrupted:
            return None
        summarise(at, configs)
    runs, files, scores = Runs(folders), [], []
    for output in stage.outputs:
        kind, _, argument = output.partition(":")
        for name, made in OUTPUTS[kind](runs, *([argument] if argument else [])):
            if isinstance(made, pd.DataFrame):
                scores.append(contrasts(pd.DataFrame({"question": stage.question}, made.index) | made, runs))
            else:
                files += save(out, f"{stage.prefix or stage.name}-{name}", made)
    rows = [
        row for frame in scores for row in frame.to_dict("records") if row["condition"] not in stage.aside
    ]
    record = {"asked": _asked(stage, settings), "files": files, "contrasts": rows}
    record["versions"] = environment(torch.get_num_threads())["packages"]
    _write(_record_path(stage, out), json.dumps(record, indent=1) + "\n")
    return record


def _state(stage: Stage, settings: Settings, out: Path) -> Planned:
    for name in stage.needs:
        if not published_size(name, settings.data_dir):
            where = settings.data_dir or f"{FOLDER_VARIABLE} or among the downloads; give --data-dir"
            return Planned(stage, f"no {name} in {where}")  # nothing is downloaded: no server may decide
    runs = _runs(stage, settings, out)
    try:
        finished = sum(finished_alike(folder, config) for folder, config in runs)
    except RunFolderError as error:
        raise RunFolderError(f"{out} holds runs of other settings; give another --out ({error})") from error
    try:
        record = json.loads(_record_path(stage, out).read_text())
        there = record["asked"] == _asked(stage, settings) and all(
            (out / file).is_file() for file in record["files"]
        )
    except (OSError, ValueError, KeyError):
        there = False
    return Planned(stage, None, len(runs), finished, record if there and finished == len(runs) else None)


def _asked(stage: Stage, settings: Settings) -> str:
    """Return a hash of the configs and outputs that a stage is asked for."""
    configs = [config.to_dict() for batch in stage.batches for config in batch.configs(settings.seeds)]
    return hashlib.sha256(json.dumps([configs, stage.outputs], sort_keys=True).encode()).hexdigest()


def _check_out(out: Path, name: str, settings: Settings) -> None:
    """Refuse a folder that is not a reproduction, or one of another plan or size."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    try:
        found = json.loads((out / IDENTITY).read_text())
    except (OSError, ValueError) as error:
        raise RunFolderError(f"--out {out} is not empty and not a reproduction (no {IDENTITY})") from error
    if found != {"name": name, "quick": settings.quick}:
        what = f"{'a quick' if found.get('quick') else 'the'} {found.get('name')}"
        raise RunFolderError(f"--out {out} holds {what}; give another folder")


def _write_readme(out: Path, name: str, settings: Settings, failed: dict[str, str]) -> None:
    """Write what spans the stages that are done, by this call or an earlier one."""
    states = [_state(stage, settings, out) for stage in PLANS[name](settings)]
    done = [one.record for one in states if one.record]
    command = [
        "bisnn",
        "reproduce",
        name,
        "--out",
        str(out),
        "--seeds",
        numbers(settings.seeds).replace(", ", ","),
    ]
    command += ["--quick"] if settings.quick else []
    command += ["--data-dir", str(settings.data_dir)] if settings.data_dir else []
    text = [HEAD.format(name=name, command=shlex.join(command), seeds=numbers(settings.seeds))]
    text += [QUICK] if settings.quick else []
    differences = list(answer(row for record in done for row in record["contrasts"]))
    if differences:
        text += [HELPS, _listed(f for end, made in differences for f in save(out, f"{ANSWER}-{end}", made))]
    for one in states:
        text.append(f"\n## {one.stage.name}\n\n{one.stage.title[0].upper()}{one.stage.title[1:]}.\n\n")
        if one.record:
            runs = "".join(f"    {_command(batch, settings)}\n" for batch in one.stage.batches)
            text.append(f"Runs:\n\n{runs}\n{_listed(one.record['files'])}")
        else:
            text.append(f"Nothing here: {failed.get(one.stage.name, one.to_do)}.\n")
    if done:
        packages = {key: None for record in done for key in record["versions"].items()}
        versions = pd.DataFrame(packages, columns=["package", "version"]).groupby("package", sort=False)[
            "version"
        ]
        text.append("\n## Versions\n\n")
        text += [f"- {package} {', '.join(several)}\n" for package, several in versions]
    _write(out / "README.md", "".join(text))


def _command(batch: Batch, settings: Settings) -> str:
    """Return the command that makes the same runs by itself."""
    seeds = numbers(settings.seeds[:1] if batch.n_folds else settings.seeds).replace(", ", ",")
    words = ["bisnn", "run", batch.source, "--seeds", seeds]
    words += [word for method in batch.methods for word in ("-m", method)]
    words += ["--folds", str(batch.n_folds)] if batch.n_folds else []
    return shlex.join([*words, *(word for change in batch.changes for word in ("--set", change))])


def _listed(files: Iterable[str]) -> str:
    """Return a list of files, one line per name without suffix."""
    stems: dict[str, list[str]] = {}
    for file in map(Path, files):
        stems.setdefault(str(file.with_suffix("")), []).append(file.suffix)
    return "".join(f"- `{stem}` {', '.join(suffixes)}\n" for stem, suffixes in stems.items())


def _record_path(stage: Stage, out: Path) -> Path:
    return out / "stages" / f"{stage.name}.json"


def _write(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
