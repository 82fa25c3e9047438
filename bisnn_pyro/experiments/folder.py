"""The run folder: what is in it, and how it is written and read."""

from __future__ import annotations

import csv
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Required

import tomli_w
from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from bisnn_pyro.diagnosis import versions
from bisnn_pyro.errors import RunFolderError
from bisnn_pyro.experiments.config import Config
from bisnn_pyro.files import write_whole
from bisnn_pyro.inference import History
from bisnn_pyro.storage.folder import StoredFolder
from bisnn_pyro.storage.replacing import NEXT, settle_all
from bisnn_pyro.toml import read_toml


@dataclass(frozen=True)
class RunFolder(StoredFolder):
    """A run's folder, ``<out>/<method>-seed<k>``, or ``<method>-fold<j>-seed<k>`` in a cross-validation."""

    @classmethod
    def of(cls, config: Config, out: Path) -> RunFolder:
        """Return the folder of this config below ``out``."""
        fold = "" if config.fold is None else f"-fold{config.fold}"
        return cls(out / f"{config.method}{fold}-seed{config.seed}")

    @property
    def config_path(self) -> Path:
        """The resolved config."""
        return self.path / "config.toml"

    @property
    def posterior_path(self) -> Path:
        """The guide's and the model's parameters."""
        return self.path / "posterior.safetensors"

    @property
    def metrics_path(self) -> Path:
        """Scores of the finished run."""
        return self.path / "metrics.json"

    @property
    def history_path(self) -> Path:
        """Training, epoch by epoch."""
        return self.path / "history.csv"

    @property
    def idata_path(self) -> Path:
        """What every predictor said, see :mod:`bisnn_pyro.experiments.store`."""
        return self.path / "inference_data.nc"

    @property
    def figures(self) -> Path:
        """The folder of the figures."""
        return self.path / "figures"

    def write_config(self, config: Config) -> None:
        """Write the resolved config, first of all files: the folder's manifest is void."""
        self.unseal()
        write_whole(self.config_path, tomli_w.dumps(config.to_dict()).encode())

    def read_config(self) -> Config:
        """Read the resolved config.

        Raises:
            RunFolderError: if this is not a run folder.
        """
        if not self.begun:
            raise RunFolderError(f"{self.path} is not a run folder: it has no config.toml")
        path = self.checked("config.toml")
        try:
            return Config.from_dict(read_toml(path))
        except ValueError as error:
            raise RunFolderError(f"{path} is not a valid config: {error}") from error

    def read_metrics(self) -> dict[str, Any]:
        """Read the scores.

        Raises:
            RunFolderError: if they are missing or broken, or not as the run wrote them.
        """
        found = self.read_json("metrics.json")
        try:
            _METRICS.validate_python(found)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise RunFolderError(f"{self.metrics_path} is broken at {where}: {first['msg']}") from error
        return found

    def read_history(self) -> History:
        """Read how it was trained.

        Raises:
            RunFolderError: if the file is missing or broken, or not as the run wrote it.
        """
        path = self.checked("history.csv")
        try:
            found = History.read_csv(path)
            if self.finished and "epoch" not in found.columns:
                raise ValueError("it has no epochs")
        except (OSError, ValueError, TypeError, csv.Error) as error:
            raise RunFolderError(f"{path} is not the history of a training: {error}") from error
        return found


Scores = Annotated[dict[str, dict[str, float]], Field(min_length=1)]


class Metrics(TypedDict, total=False):
    """What readers rely on in ``metrics.json``."""

    predictors: Required[Scores]
    noise: dict[str, Scores]
    temperatures: dict[str, Annotated[float, Field(gt=0)]]
    sharpness: float
    epochs: int
    best_epoch: int
    train_seconds: float
    kl_weight: float | None
    trainings: int
    components: list[dict[str, float]]
    notes: list[str]


_METRICS = TypeAdapter(Metrics)


def environment(threads: int, command: str | None = None) -> dict[str, Any]:
    """Return the command that started a run, and what else its bits depend on: versions, machine, threads."""
    return {
        "command": command,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cpu_count": os.cpu_count(),
        "threads": threads,
        "packages": {name: found or "unknown" for name, found in versions().items()},
    }


def find_runs(out: Path) -> list[RunFolder]:
    """Return the finished runs directly below ``out``, by name, excluding ``summary/``."""
    if not out.is_dir():
        raise RunFolderError(f"{out} is not a folder")
    return [folder for folder in runs_in(out) if folder.finished]


def runs_in(out: Path) -> list[RunFolder]:
    """Return all runs directly in a folder, by name, those apart that are to replace another."""
    settle_all(out)
    paths = [
        p for p in sorted(out.iterdir()) if p.name != "summary" and p.name[0] != "." and p.suffix != NEXT
    ]
    return [folder for folder in map(RunFolder, paths) if folder.begun]
