"""Performs a plan: makes the runs, tables and figures that are missing, and writes ``README.md``."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections.abc import Callable, Iterable, Sequence
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
from bisnn_pyro.results import Runs, summarise
from bisnn_pyro.results.report.blocks import numbers
from bisnn_pyro.results.report.paper import OUTPUTS, answer, contrasts, save
from bisnn_pyro.results.reproduce.plan import Batch, Settings, Stage, bisnn_2021
from bisnn_pyro.storage import strict_json

PLANS: dict[str, Callable[[Settings], list[Stage]]] = {"bisnn-2021": bisnn_2021}
IDENTITY, ANSWER = "reproduction.json", "bayes-against-straight-through"
HEAD = """# {name}

Made by

    {command}

with the training seeds {seeds}, the settings of the presets (`bisnn show PRESET`), and temperatures fitted on
validation points. The same command makes what is missing. `runs/` holds the run folders, `tables/` each table
as `.tex` (booktabs), `.md` and `.csv`, `figures/` each figure as `.pdf`, `.png` and `.csv`; figures of one
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
    """A stage, and how it stands.

    Attributes:
        stage: the stage.
        missing: why its data are not there; None if they are.
        n_runs: the runs that it needs.
        n_finished: how many of them are finished.
        record: its ``files``, ``contrasts`` and ``versions``, if they are what is asked for now.
    """

    stage: Stage
    missing: str | None = None
    n_runs: int = 0
    n_finished: int = 0
    record: dict[str, Any] | None = None

    def __str__(self) -> str:
        """The name, the state and the title, on two lines."""
        state = f"done ({self.n_runs} runs)" if self.record else self.to_do("skipped: ")
        return f"{self.stage.name:<18}{state}\n{'':<18}{self.stage.title}"

    def to_do(self, skipped: str = "") -> str:
        """Return why there are no files yet."""
        to_do = f"to do ({self.n_finished} of {self.n_runs} runs finished)"
        return f"{skipped}{self.missing}" if self.missing else to_do


@dataclass(frozen=True)
class Reproduction:
    """What :func:`reproduce` did: its folder, stages that failed and why, and whether Ctrl-C ended it."""

    out: Path
    failures: tuple[tuple[Stage, BisnnError], ...] = ()
    interrupted: bool = False


def planned(
    name: str, settings: Settings, out: str | os.PathLike[str], only: Sequence[str] = ()
) -> list[Planned]:
    """Return the stages that :func:`reproduce` would make, and how they stand; nothing is written.

    Raises:
        InputError: if there is no such plan or stage, or the folder holds something else.
    """
    if name not in PLANS:
        raise ConfigError(f"there is no reproduction {name!r}; there is {', '.join(PLANS)}")
    if settings.data_dir is not None and not settings.data_dir.is_dir():
        raise ConfigError(f"--data-dir {settings.data_dir} is not a folder")
    _check_out(Path(out), name, settings)
    stages = {stage.name: stage for stage in PLANS[name](settings)}
    for one in only:
        if one not in stages:
            raise ConfigError(f"--only {one!r} is not one of the stages {', '.join(stages)}")
    return [_state(stage, settings, Path(out)) for stage in stages.values() if not only or stage.name in only]


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

    Example::

        reproduce("bisnn-2021", Settings(quick=True), "runs/bisnn-2021-quick")
    """
    folder, interrupted = Path(out), False
    failures: list[tuple[Stage, BisnnError]] = []
    todo = [one.stage for one in planned(name, settings, folder, only) if not (one.missing or one.record)]
    strict_json.write(folder / IDENTITY, {"name": name, "quick": settings.quick})
    for stage in todo:
        tell(f"{stage.name}: {stage.title}")
        try:
            n_files = perform(stage, settings, folder, report)
        except BisnnError as error:
            failures.append((stage, error))
            tell(f"{stage.name}: failed: {error}")
            continue
        if n_files is None:
            interrupted = True
            break
        tell(f"{stage.name}: {n_files} files")
    _write_readme(folder, name, settings, {stage.name: f"failed: {error}" for stage, error in failures})
    return Reproduction(folder, tuple(failures), interrupted)


def perform(stage: Stage, settings: Settings, out: Path, report: Callable[..., None] | None) -> int | None:
    """Make a stage's runs, tables and figures; return the number of files, or None after Ctrl-C.

    Raises:
        BisnnError: if a run or an output fails; what is finished stays, and is found the next time.
    """
    batches, files, scores = _batches(stage, settings, out), [], []
    for batch, configs, folders in batches:
        if all(map(finished_alike, folders, configs)):
            continue
        at, jobs = folders[0].path.parent, settings.jobs
        done = run_experiment(configs, at, resume=True, jobs=jobs, report=report, command=settings.command)
        for config, error in done.failures:
            run = f"{batch.experiment} {config.method} with seed {config.seed}"
            raise BisnnError(f"{run}: {error}") from error
        if done.interrupted:
            return None
        summarise(at, configs)
    runs = Runs([folder.path for _, _, folders in batches for folder in folders])
    for output in stage.outputs:
        kind, *argument = output.split(":", 1)
        for name, made in OUTPUTS[kind](runs, *argument):
            if isinstance(made, pd.DataFrame):
                scores.append(contrasts(pd.DataFrame({"question": stage.question} | dict(made)), runs))
            else:
                files += save(out, f"{stage.prefix or stage.name}-{name}", made)
    rows = [row for own in scores for row in own.to_dict("records") if row["condition"] not in stage.aside]
    versions = environment(torch.get_num_threads())["packages"]
    record = {"asked": _asked(stage, settings), "files": files, "contrasts": rows, "versions": versions}
    strict_json.write(_record_path(stage, out), record)
    return len(files)


def _batches(stage: Stage, settings: Settings, out: Path) -> list[tuple[Batch, list[Any], list[RunFolder]]]:
    """Return a stage's runs batch by batch: the configs and their folders."""
    found = [
        (batch, batch.configs(settings.seeds), out / "runs" / batch.experiment) for batch in stage.batches
    ]
    return [(batch, own, [RunFolder.of(config, at) for config in own]) for batch, own, at in found]


def _state(stage: Stage, settings: Settings, out: Path) -> Planned:
    for name in stage.needs:
        if not published_size(
            name, settings.data_dir
        ):  # nothing is downloaded: it may not depend on a server
            where = settings.data_dir or f"{FOLDER_VARIABLE} or among the downloads; give --data-dir"
            return Planned(stage, f"no {name} in {where}")
    try:
        finished = [
            finished_alike(folder, config)
            for _, configs, folders in _batches(stage, settings, out)
            for folder, config in zip(folders, configs, strict=True)
        ]
    except RunFolderError as error:
        raise RunFolderError(f"{out} holds runs of other settings; give another --out ({error})") from error
    try:
        record = strict_json.read(_record_path(stage, out))
        valid = all(finished) and record["asked"] == _asked(stage, settings)
        valid = valid and all((out / file).is_file() for file in record["files"])
    except (OSError, ValueError, LookupError, TypeError):
        valid = False
    return Planned(stage, None, len(finished), sum(finished), record if valid else None)


def _asked(stage: Stage, settings: Settings) -> str:
    """Return a hash of the configs and outputs that a stage is asked for."""
    configs = [config.to_dict() for batch in stage.batches for config in batch.configs(settings.seeds)]
    return hashlib.sha256(json.dumps([configs, stage.outputs], sort_keys=True).encode()).hexdigest()


def _check_out(out: Path, name: str, settings: Settings) -> None:
    """Refuse a folder that is not a reproduction, or one of another plan or size."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    try:
        found = strict_json.read(out / IDENTITY)
    except (OSError, ValueError) as error:
        raise RunFolderError(f"--out {out} is not empty and no reproduction (no {IDENTITY})") from error
    if found != {"name": name, "quick": settings.quick}:
        what = f"{'a quick' if found.get('quick') else 'the'} {found.get('name')}"
        raise RunFolderError(f"--out {out} holds {what}; give another folder")


def _write_readme(out: Path, name: str, settings: Settings, failed: dict[str, str]) -> None:
    """Write what spans the stages that are done, by this call or an earlier one."""
    states = [_state(stage, settings, out) for stage in PLANS[name](settings)]
    done = [one.record for one in states if one.record]
    words = ["bisnn", "reproduce", name, "--out", str(out), "--seeds", _seeds(settings.seeds)]
    words += ["--quick"] if settings.quick else []
    words += ["--data-dir", str(settings.data_dir)] if settings.data_dir else []
    text = HEAD.format(name=name, command=shlex.join(words), seeds=numbers(settings.seeds))
    text += QUICK if settings.quick else ""
    made = list(answer(row for record in done for row in record["contrasts"]))
    text += HELPS + _listed(f for end, one in made for f in save(out, f"{ANSWER}-{end}", one)) if made else ""
    for one in states:
        text += f"\n## {one.stage.name}\n\n{one.stage.title[0].upper()}{one.stage.title[1:]}.\n\n"
        if one.record:
            runs = "".join(f"    {_command(batch, settings)}\n" for batch in one.stage.batches)
            text += f"Runs:\n\n{runs}\n{_listed(one.record['files'])}"
        else:
            text += f"Nothing here: {failed.get(one.stage.name, one.to_do())}.\n"
    several: dict[str, dict[str, None]] = {}
    for package, version in [item for record in done for item in record["versions"].items()]:
        several.setdefault(package, {})[version] = None
    text += "\n## Versions\n\n" if several else ""
    text += "".join(f"- {package} {', '.join(versions)}\n" for package, versions in several.items())
    _write(out / "README.md", text)


def _command(batch: Batch, settings: Settings) -> str:
    """Return the command that makes the same runs by itself."""
    seeds = settings.seeds[:1] if batch.n_folds else settings.seeds
    words = ["bisnn", "run", batch.source, "--seeds", _seeds(seeds)]
    words += [word for method in batch.methods for word in ("-m", method)]
    words += ["--folds", str(batch.n_folds)] if batch.n_folds else []
    return shlex.join([*words, *(word for change in batch.changes for word in ("--set", change))])


def _seeds(seeds: Sequence[int]) -> str:
    return numbers(seeds).replace(", ", ",")


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
