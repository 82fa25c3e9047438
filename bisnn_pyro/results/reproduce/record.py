"""What a stage has made, and whether it is what is asked for now."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bisnn_pyro.errors import RunFolderError
from bisnn_pyro.experiments.config import Config
from bisnn_pyro.experiments.folder import RunFolder
from bisnn_pyro.experiments.reproduce.stage import Batch, Settings, Stage
from bisnn_pyro.experiments.run import finished_alike
from bisnn_pyro.experiments.study import Row
from bisnn_pyro.files import atomic_path


@dataclass(frozen=True)
class Record:
    """What a stage has made.

    Attributes:
        asked: a hash of the runs and outputs that it was made of.
        files: tables and figures, relative to the reproduction's folder.
        contrasts: rows of :func:`~bisnn_pyro.experiments.reproduce.contrasts.contrasts`.
        versions: of the packages that it was made with.
    """

    asked: str
    files: tuple[str, ...]
    contrasts: tuple[Row, ...]
    versions: dict[str, str]

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=1) + "\n")


@dataclass(frozen=True)
class State:
    """How far a stage has come.

    Attributes:
        n_runs: the runs that it needs.
        n_finished: those that are there.
        record: what it has made, where that is what is asked for and all files are there.
    """

    n_runs: int
    n_finished: int
    record: Record | None

    def __str__(self) -> str:
        runs = f"{self.n_finished} of {self.n_runs} runs"
        return f"done ({self.n_runs} runs)" if self.record else f"to do ({runs} finished)"


def batches(stage: Stage, settings: Settings, out: Path) -> list[tuple[Batch, list[Config], list[RunFolder]]]:
    """Return a stage's runs: batch by batch the configs and their folders."""
    found = []
    for batch in stage.batches:
        configs = batch.configs(settings.seeds)
        found.append((batch, configs, [RunFolder.of(c, runs_of(batch, out)) for c in configs]))
    return found


def runs_of(batch: Batch, out: Path) -> Path:
    """Return the folder of a batch's runs."""
    return out / "runs" / batch.experiment


def record_path(stage: Stage, out: Path) -> Path:
    """Return where a stage's record is."""
    return out / "stages" / f"{stage.name}.json"


def state(stage: Stage, settings: Settings, out: Path) -> State:
    """Return how far a stage has come.

    Raises:
        RunFolderError: if a run is finished with another config.
    """
    pairs = [pair for _, *own in batches(stage, settings, out) for pair in zip(*own, strict=True)]
    try:
        finished = sum(finished_alike(folder, config) for config, folder in pairs)
    except RunFolderError as error:
        raise RunFolderError(f"{out} holds runs of other settings; give another --out ({error})") from error
    complete = finished == len(pairs)
    return State(len(pairs), finished, _made(stage, settings, out) if complete else None)


def asked(stage: Stage, settings: Settings) -> str:
    """Return a hash of what a stage is asked for: configs and outputs."""
    configs = [config.to_dict() for batch in stage.batches for config in batch.configs(settings.seeds)]
    text = json.dumps([configs, [asdict(output) for output in stage.outputs]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _made(stage: Stage, settings: Settings, out: Path) -> Record | None:
    path = record_path(stage, out)
    try:
        values: dict[str, Any] = json.loads(path.read_text())
        record = Record(
            values["asked"], _tuple(values["files"]), _tuple(values["contrasts"]), values["versions"]
        )
    except (OSError, ValueError, KeyError):
        return None
    there = all((out / file).is_file() for file in record.files)
    return record if there and record.asked == asked(stage, settings) else None


def _tuple(values: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(values)
