"""A reproduction from its first stage to its last, or on from where it stopped."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bisnn_pyro.errors import BisnnError, ConfigError, RunFolderError
from bisnn_pyro.experiments.reproduce.bisnn_2021 import bisnn_2021
from bisnn_pyro.experiments.reproduce.contrasts import AS_IT_IS, AT_TEMPERATURE, contrast_plot, contrast_table
from bisnn_pyro.experiments.reproduce.making import Report, perform
from bisnn_pyro.experiments.reproduce.place import Place
from bisnn_pyro.experiments.reproduce.presence import absence
from bisnn_pyro.experiments.reproduce.readme import write_readme
from bisnn_pyro.experiments.reproduce.record import Record, State, state
from bisnn_pyro.experiments.reproduce.stage import Settings, Stage
from bisnn_pyro.experiments.study import Row
from bisnn_pyro.files import atomic_path

PLANS: dict[str, Callable[[Settings], list[Stage]]] = {"bisnn-2021": bisnn_2021}
ANSWER = "bayes-against-straight-through"
"""The table and figures across all stages."""
IDENTITY = "reproduction.json"


@dataclass(frozen=True)
class Planned:
    """A stage and how it stands.

    Attributes:
        stage: the stage.
        state: how far it has come; the reason where its data are missing.
    """

    stage: Stage
    state: State | str

    def __str__(self) -> str:
        how = f"skipped: {self.state}" if isinstance(self.state, str) else str(self.state)
        return f"{self.stage.name:<18}{how}\n{'':<18}{self.stage.title}"


@dataclass(frozen=True)
class Reproduction:
    """What :func:`reproduce` did.

    Attributes:
        out: its folder.
        failures: stages that failed, and why.
        interrupted: whether Ctrl-C ended it.
    """

    out: Path
    failures: tuple[tuple[Stage, BisnnError], ...] = ()
    interrupted: bool = False


def default_out(name: str, settings: Settings) -> Path:
    """Return the folder of a reproduction where none is given; a quick one has its own."""
    return Path("runs") / (f"{name}-quick" if settings.quick else name)


def planned(
    name: str, settings: Settings, out: str | os.PathLike[str], only: Sequence[str] = ()
) -> list[Planned]:
    """Return the stages of a reproduction and how they stand; nothing is run or written.

    Args:
        name: a key of :data:`PLANS`.
        settings: the user's.
        out: the reproduction's folder.
        only: names of stages, all where none is given.

    Raises:
        InputError: if there is no such plan or stage, or the folder holds something else.
    """
    folder = Path(out)
    if name not in PLANS:
        raise ConfigError(f"there is no reproduction {name!r}; there is {', '.join(PLANS)}")
    if settings.data_dir is not None and not settings.data_dir.is_dir():
        raise ConfigError(f"--data-dir {settings.data_dir} is not a folder")
    _check_out(folder, name, settings)
    found = [_planned(stage, settings, folder) for stage in PLANS[name](settings)]
    names = [one.stage.name for one in found]
    wrong = [one for one in only if one not in names]
    if wrong:
        raise ConfigError(f"--only {wrong[0]!r} is none of the stages {', '.join(names)}")
    return [one for one in found if not only or one.stage.name in only]


def reproduce(
    name: str,
    settings: Settings,
    out: str | os.PathLike[str],
    *,
    only: Sequence[str] = (),
    report: Report | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Reproduction:
    """Make what is missing of a reproduction: runs, tables, figures, and ``README.md``.

    A stage that fails does not take the others with it, and the next call tries it again.

    Args:
        name: a key of :data:`PLANS`.
        settings: the user's.
        out: the reproduction's folder.
        only: names of stages, all where none is given.
        report: called after each run.
        tell: called with a line on each stage.

    Raises:
        InputError: before anything is written, see :func:`planned`.
    """
    folder = Path(out)
    todo = planned(name, settings, folder, only)
    _write_identity(folder, name, settings)
    failures: list[tuple[Stage, BisnnError]] = []
    interrupted = False
    for one in todo:
        if isinstance(one.state, str) or one.state.record is not None:
            continue
        tell(f"{one.stage.name}: {one.stage.title}")
        try:
            made = perform(one.stage, settings, folder, report)
        except BisnnError as error:
            failures.append((one.stage, error))
            tell(f"{one.stage.name}: failed: {error}")
            continue
        if made is None:
            interrupted = True
            break
        tell(f"{one.stage.name}: {len(made.files)} files")
    _conclude(name, settings, folder, failures)
    return Reproduction(folder, tuple(failures), interrupted)


def _planned(stage: Stage, settings: Settings, out: Path) -> Planned:
    missing = [why for name in stage.needs if (why := absence(name, settings.data_dir)) is not None]
    return Planned(stage, missing[0] if missing else state(stage, settings, out))


def _conclude(name: str, settings: Settings, out: Path, failures: Sequence[tuple[Stage, BisnnError]]) -> None:
    """Write what spans the stages that are done, of this call or an earlier one."""
    failed = {stage.name: f"failed: {error}" for stage, error in failures}
    stages: list[tuple[Stage, Record | str]] = []
    for stage in PLANS[name](settings):
        how = _planned(stage, settings, out).state
        made = how if isinstance(how, str) else how.record or failed.get(stage.name, str(how))
        stages.append((stage, made))
    records = [made for _, made in stages if isinstance(made, Record)]
    answer = _answer(Place(out, ANSWER), [row for made in records for row in made.contrasts])
    write_readme(out, name, settings, stages, [str(file.relative_to(out)) for file in answer])


def _answer(place: Place, rows: Sequence[Row]) -> list[Path]:
    """Write the committee's differences to the baseline under all conditions; return the files."""
    once: dict[tuple[Any, ...], Row] = {}
    for row in rows:  # stages may share a condition
        once.setdefault((row["condition"], row["committee"], row["seed"]), row)
    questions: dict[str, list[Row]] = {}
    for row in once.values():
        questions.setdefault(row["question"], []).append(row)
    if once:
        place.table("all", contrast_table([row for own in questions.values() for row in own]))
    for question, own in questions.items():
        for committee in (AS_IT_IS, AT_TEMPERATURE):
            plot = contrast_plot(own, committee)
            if plot is not None:
                place.figure(f"{question} {committee}".replace(" ", "-"), plot)
    return place.files


def _check_out(out: Path, name: str, settings: Settings) -> None:
    """Refuse a folder that is no reproduction, or that of another plan or size."""
    if not out.exists():
        return
    if not out.is_dir():
        raise RunFolderError(f"--out {out} is a file; give a folder")
    if not any(out.iterdir()):
        return
    try:
        found = json.loads((out / IDENTITY).read_text())
    except (OSError, ValueError) as error:
        raise RunFolderError(f"--out {out} is not empty and no reproduction (no {IDENTITY})") from error
    if found != _identity(name, settings):
        was = f"{'a quick' if found.get('quick') else 'the'} {found.get('name')}"
        raise RunFolderError(f"--out {out} holds {was}; give another folder")


def _identity(name: str, settings: Settings) -> dict[str, object]:
    return {"name": name, "quick": settings.quick}


def _write_identity(out: Path, name: str, settings: Settings) -> None:
    with atomic_path(out / IDENTITY) as temporary:
        temporary.write_text(json.dumps(_identity(name, settings)) + "\n")
