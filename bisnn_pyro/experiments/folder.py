"""The run folder: what is in it, and how it is written and read."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from bisnn_pyro.errors import RunFolderError
from bisnn_pyro.experiments.config import Config
from bisnn_pyro.files import atomic_path

_PACKAGES = (
    "bisnn_pyro",
    "torch",
    "pyro-ppl",
    "numpy",
    "numba",
    "arviz",
    "xarray",
    "pandas",
    "scikit-learn",
    "matplotlib",
)


@dataclass(frozen=True)
class RunFolder:
    """A run's folder, ``<out>/<method>-seed<k>``, or ``<method>-fold<j>-seed<k>`` in a cross-validation.

    ``checkpoint/`` means that the run was cut off and can be resumed; ``metrics.json`` without it, that
    the run is finished.
    """

    path: Path

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
    def checkpoint_path(self) -> Path:
        """What a resumed run starts from."""
        return self.path / "checkpoint" / "state.pt"

    def component_checkpoint(self, component: int) -> Path:
        """What a component of a mixture starts from; :attr:`checkpoint_path` for the first."""
        first = self.checkpoint_path
        return first.with_name(f"state-{component}.pt") if component else first

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

    @property
    def finished(self) -> bool:
        """Whether the run came to its end."""
        return self.metrics_path.is_file() and not self.resumable

    @property
    def resumable(self) -> bool:
        """Whether the run was cut off."""
        return self.checkpoint_path.is_file()

    @property
    def _replaced(self) -> Path:
        """Where the run that is being run over waits until its successor is finished."""
        return self.path.with_name(f".replaced-{self.path.name}")

    def prepare(self, *, overwrite: bool = False, resume: bool = False) -> None:
        """Make the folder ready to be written.

        Raises:
            RunFolderError: if something is there that must not be run over, or cannot be written.
        """
        if resume and self.resumable:
            return
        if self.path.exists() and any(self.path.iterdir()):
            self._refuse_unless(overwrite, resume)
            shutil.rmtree(self._replaced, ignore_errors=True)
            self.path.rename(self._replaced)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunFolderError(f"cannot make the run folder {self.path}: {error.strerror}") from error
        if not os.access(self.path, os.W_OK):
            raise RunFolderError(f"the run folder {self.path} cannot be written to")

    def _refuse_unless(self, overwrite: bool, resume: bool) -> None:
        begun = self.config_path.is_file()
        if begun and (overwrite or (resume and not self.finished)):
            return
        if overwrite:
            raise RunFolderError(f"{self.path} is not a run folder (no config.toml); it is left alone")
        if self.finished:
            what = "holds a finished run; use --overwrite to run over it, or another --out"
        elif self.resumable:
            what = "holds an unfinished run; use --resume to go on, or --overwrite to start again"
        else:
            what = "is not empty; use --overwrite if it is an unfinished run, or another --out"
        raise RunFolderError(f"{self.path} {what} (in Python: overwrite=True, resume=True, out)")

    def discard(self) -> None:
        """Remove the folder, and put back what it was to replace: nothing half-written stays behind."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._replaced.exists():
            self._replaced.rename(self.path)

    def finish(self) -> None:
        """Remove what only an unfinished run needs."""
        shutil.rmtree(self.checkpoint_path.parent, ignore_errors=True)
        shutil.rmtree(self._replaced, ignore_errors=True)

    def write_config(self, config: Config) -> None:
        """Write the resolved config."""
        with atomic_path(self.config_path) as temporary:
            temporary.write_text(tomli_w.dumps(config.to_dict()), "utf-8")

    def read_config(self) -> Config:
        """Read the resolved config.

        Raises:
            RunFolderError: if this is not a run folder.
        """
        try:
            return Config.from_dict(tomllib.loads(self.config_path.read_text("utf-8")))
        except OSError as error:
            raise RunFolderError(
                f"{self.path} is not a run folder: cannot read config.toml ({error.strerror})"
            ) from error
        except ValueError as error:
            raise RunFolderError(f"{self.config_path} is not a valid config: {error}") from error

    def write_json(self, name: str, value: Mapping[str, Any]) -> None:
        """Write a JSON file of the folder."""
        with atomic_path(self.path / name) as temporary:
            temporary.write_text(json.dumps(value, indent=2, allow_nan=True) + "\n", "utf-8")

    def read_json(self, name: str) -> dict[str, Any]:
        """Read a JSON file of the folder.

        Raises:
            RunFolderError: if it is missing or broken.
        """
        try:
            return json.loads((self.path / name).read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise RunFolderError(f"cannot read {self.path / name}: {error}") from error


def environment(threads: int, command: str | None = None) -> dict[str, Any]:
    """Return the command that started a run, and what else its bits depend on: versions, machine, threads."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "unknown"
    return {
        "command": command,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cpu_count": os.cpu_count(),
        "threads": threads,
        "packages": versions,
    }


def find_runs(out: Path) -> list[RunFolder]:
    """Return the finished runs directly below ``out``, by name, excluding ``summary/``."""
    if not out.is_dir():
        raise RunFolderError(f"{out} is not a folder")
    paths = [p for p in sorted(out.iterdir()) if p.is_dir() and p.name != "summary" and p.name[0] != "."]
    folders = [RunFolder(p) for p in paths]
    return [f for f in folders if f.finished and f.config_path.is_file()]
