"""One finished run, and the rule that says which of them may stand in one table."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bisnn_pyro.analysis import classification_points, regression_points
from bisnn_pyro.data import Task
from bisnn_pyro.errors import RunFolderError
from bisnn_pyro.experiments.config import Config, flat_keys
from bisnn_pyro.experiments.fitted import FittedRun, reopen
from bisnn_pyro.experiments.folder import RunFolder, runs_in
from bisnn_pyro.experiments.store import Store
from bisnn_pyro.files import real
from bisnn_pyro.storage.manifest import accept_changed as accept_changed_files

Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]

SAME_POINTS = ("n_train", "n_val", "val_fraction", "filters", "fold")
"""Keys of ``[data]`` that leave the test points as they are; folds are compared on their own."""
BINNING = ("time_step", "n_steps", "start", "zero", "sensor", "crop", "downsample", "polarity")
"""Keys that make other inputs of the same recordings, for runs that say which recordings were tested."""
FREE = (
    "seed",
    "description",
    "train.threads",
    "train.checkpoint_every",
    "data.path",
    "data.cache",
    "data.fold",
)
"""Keys in which the seeds of one line may differ; so may ``[analysis]`` and ``[tune]``."""
RENAME = "give one a name of its own with --set experiment=NAME, or leave it out"


@dataclass(frozen=True, eq=False)
class FinishedRun:
    """One finished run folder.

    Attributes:
        folder: its files.
        config: its resolved config.
        metrics: its ``metrics.json``.
        trust: whether classes of a user's own that the config names may be imported.
    """

    folder: RunFolder
    config: Config
    metrics: Mapping[str, Any]
    trust: bool = False

    @classmethod
    def read(cls, folder: RunFolder, *, trust: bool = False) -> FinishedRun:
        """Read a run folder; its store is opened at first use.

        Raises:
            RunFolderError: if the run is unfinished, or a file is missing or broken.
        """
        if not folder.finished:
            what = "was interrupted" if folder.resumable else "has no metrics.json"
            raise RunFolderError(
                f"{folder.path} is not finished: it {what}; finish it with `bisnn run ... --resume`, or name "
                "the finished runs one by one"
            )
        return cls(folder, folder.read_config(), folder.read_metrics(), trust)

    @cached_property
    def store(self) -> Store:
        """What every predictor said.

        Raises:
            RunFolderError: if the file is missing, broken, or lacks a predictor of ``metrics.json``.
        """
        store = Store.open(self.folder)
        missing = [name for name in self.predictors if name not in store.predictors]
        if missing:
            names, path = ", ".join(missing), self.folder.path
            raise RunFolderError(f"{store.path} lacks {names}; `bisnn evaluate {path}` writes it again")
        return store

    @property
    def experiment(self) -> str:
        """The experiment's name."""
        return self.config.experiment

    @property
    def method(self) -> str:
        """The method's name."""
        return self.config.method

    @property
    def seed(self) -> int:
        """The training seed."""
        return self.config.seed

    @property
    def fold(self) -> int | None:
        """The fold of a cross-validation that it was tested on; None without one."""
        return self.config.fold

    @property
    def split(self) -> tuple[int | None, int | None]:
        """Which division of the data into folds (``data.seed``), and which fold; None without folds."""
        return (None if self.fold is None else self.config.data.get("seed")), self.fold

    @property
    def trainings(self) -> int:
        """How many trainings made it: 1 unless ``metrics.json`` says otherwise."""
        return int(self.metrics.get("trainings", 1))

    @property
    def predictors(self) -> list[str]:
        """All predictors; the first is the method's own."""
        return list(self.metrics["predictors"])

    @property
    def kind(self) -> str:
        """``"classification"`` or ``"regression"``."""
        return "regression" if "rmse" in self.metrics["predictors"][self.predictors[0]] else "classification"

    @property
    def temperatures(self) -> Mapping[str, float]:
        """The fitted temperature of each predictor; empty without temperature scaling."""
        return self.metrics.get("temperatures", {})

    @cached_property
    def tested(self) -> str | None:
        """A hash of the recordings it was tested on; None for data that are not recordings."""
        return self.folder.read_json("preprocessing.json").get("fingerprints", {}).get("test")

    def point_scores(self, predictor: str) -> dict[str, np.ndarray]:
        """Return a predictor's scores of each test point, ``[N]`` by metric (``mse`` for the RMSE)."""
        votes, targets, noise = self.store.votes(predictor), self.store.targets, self.store.noise_scale
        if noise is None:
            return classification_points(votes, targets)
        return regression_points(votes, noise, targets)

    def open(self, data_dir: str | os.PathLike[str] | None = None) -> tuple[FittedRun, Task]:
        """Load the posterior and the data that it was fitted to.

        Args:
            data_dir: where the data are now, instead of the config's ``data.path``.

        Raises:
            RunFolderError: if a file is missing or broken, or the data are not those of the run.
        """
        return reopen(self.folder, data_dir, trust=self.trust)

    def row(self, predictor: str, **columns: Any) -> dict[str, Any]:
        """Return one row of a table: which run and predictor it describes, then these columns."""
        run = {"experiment": self.experiment, "method": self.method, "seed": self.seed, "fold": self.fold}
        return {**run, "predictor": predictor, **columns}


def read_runs(paths: Paths, *, trust: bool = False, accept_changed: bool = False) -> list[FinishedRun]:
    """Read run folders, and all those directly in folders that hold them (``summary/`` is skipped).

    Args:
        paths: one or more run folders or folders of runs; a run named twice counts once.
        trust: whether classes of a user's own that a config names may be imported.
        accept_changed: whether to read files that were edited since the run.

    Raises:
        RunFolderError: if a folder is missing, holds no run, or a run is unfinished, lacks a file, or has one
            that is not as the run wrote it.
    """
    several = [paths] if isinstance(paths, str | os.PathLike) else paths
    folders: dict[Path, RunFolder] = {}
    with accept_changed_files(accept_changed):
        for path in several:
            for folder in _below(RunFolder.at(path)):
                folders.setdefault(real(folder.path), folder)
    if not folders:
        raise RunFolderError("no run folder is given")
    return [FinishedRun.read(folder, trust=trust) for folder in folders.values()]


def _below(one: RunFolder) -> list[RunFolder]:
    path = one.path
    if not path.is_dir():
        raise RunFolderError(f"{path} is not a folder; give run folders, or folders that hold them")
    if one.begun:
        return [one]
    if not (found := runs_in(path)):
        raise RunFolderError(
            f"{path} is not a run folder (no config.toml) and holds none; give runs/<experiment>, or "
            "runs/<experiment>/<method>-seed<k>"
        )
    return found


# -- the rule ---------------------------------------------------------------------------------------


class Apart(NamedTuple):
    """Why two runs cannot stand in one table, and what to do about it."""

    other: FinishedRun
    run: FinishedRun
    why: str
    way_out: str = "compare them separately"

    def __str__(self) -> str:
        """Return the message for the user."""
        paths = f"{self.other.folder.path} and {self.run.folder.path}"
        return f"{paths} cannot stand in one table: {self.why}; {self.way_out}"


def check_together(runs: Sequence[FinishedRun], *, varying: str | None = None) -> None:
    """Refuse runs that do not belong in one table.

    Runs belong together if they were tested on the same points and scored in the same way, and if the seeds
    (and folds) of one experiment and method share all other settings.

    Args:
        runs: one or more.
        varying: a setting in which runs of one method may differ, whatever their experiment is called.

    Raises:
        RunFolderError: runs on other data or test points, regressions together with classifications, other
            bins of the calibration error, seeds of one line with other settings, or the same seed twice; in a
            cross-validation, lines with other folds, or folds with other seeds.
    """
    together: list[FinishedRun] = []
    for run in runs:
        apart = why_apart(together, run, varying=varying)
        if apart is not None:
            raise RunFolderError(str(apart))
        together.append(run)
    _check_folds(together, varying)


def why_apart(
    together: Sequence[FinishedRun], run: FinishedRun, *, varying: str | None = None
) -> Apart | None:
    """Return why a run does not belong in one table with these, which belong together; None if it does."""
    for other in together[:1]:
        if why := _other_data(other, run):
            return Apart(other, run, why)
        if other.config.analysis.bins != run.config.analysis.bins:
            return Apart(other, run, "analysis.bins differs, and with it what their calibration errors mean")
    for other in [one for one in together if one.split == run.split][:1]:
        if why := _other_targets(other, run):
            return Apart(other, run, why)
    own = [one for one in together if _line(one, varying) == _line(run, varying)]
    line = "the same experiment and method" if varying is None else "the same method"
    for other in own[:1]:
        changed = {name for name, _ in settings_of(other.config) ^ settings_of(run.config)}
        changed -= set() if varying is None else {varying, "experiment"}
        changed -= set() if run.fold is None else {"data.seed"}  # a repeat of the cross-validation
        if changed:
            keys = ", ".join(sorted(changed))
            return Apart(other, run, f"{line} with other settings ({keys})", RENAME)
    for other in own:
        if _place(other, varying) == _place(run, varying):
            at = "" if varying is None else f" at the same {varying}"
            return Apart(other, run, f"both are {line} and seed{at}", RENAME)
    return None


def settings_of(config: Config) -> set[tuple[str, str]]:
    """Return the settings, dotted keys with values, in which the seeds of one line agree."""
    tables = {k: v for k, v in config.to_dict().items() if k not in ("analysis", "tune")}
    return {pair for pair in flat_keys(tables) if pair[0] not in FREE}


def _line(run: FinishedRun, varying: str | None) -> tuple[str, ...]:
    return (run.experiment, run.method) if varying is None else (run.method,)


def _place(run: FinishedRun, varying: str | None) -> tuple[Any, tuple[int | None, int | None], int]:
    return (None if varying is None else run.config.value(varying)), run.split, run.seed


def _other_data(a: FinishedRun, b: FinishedRun) -> str | None:
    if a.kind != b.kind:
        return f"one is a {a.kind}, the other a {b.kind}"
    if a.config.data.name != b.config.data.name:
        return f"the data are {a.config.data.name!r} and {b.config.data.name!r}"
    if (a.fold is None) != (b.fold is None):
        return "only one belongs to a cross-validation"
    ignored = {*SAME_POINTS, *(() if None in (a.tested, b.tested) else BINNING)}
    ignored |= set() if a.fold is None else {"seed"}  # another one is a repeat of the cross-validation
    ours, theirs = (
        {(k, repr(v)) for k, v in run.config.data_settings.items() if k not in ignored} for run in (a, b)
    )
    keys = ", ".join(sorted({f"data.{key}" for key, _ in ours ^ theirs}))
    return f"{keys} differ, and so may their test points" if keys else None


def _other_targets(a: FinishedRun, b: FinishedRun) -> str | None:
    """The recordings, or else the targets with the settings of the data, tell the test points apart."""
    if None not in (a.tested, b.tested) and a.tested != b.tested:
        return "they were tested on other recordings"
    ours, theirs = a.store.targets, b.store.targets
    if len(ours) != len(theirs):
        return f"they have {len(ours)} and {len(theirs)} test points"
    differing = int((ours != theirs).sum())
    return f"their test points differ: {differing} targets of {len(ours)}" if differing else None


def _check_folds(runs: Sequence[FinishedRun], varying: str | None) -> None:
    """Refuse a cross-validation in which a seed lacks a fold that other runs have."""
    found: dict[tuple[Any, ...], list[FinishedRun]] = {}
    for run in runs:
        value, (division, _), seed = _place(run, varying)
        found.setdefault((*_line(run, varying), value, division, seed), []).append(run)
    folds = {run.fold for run in runs if run.fold is not None}
    for own in found.values():
        missing = sorted(folds - {run.fold for run in own})
        if missing:
            raise RunFolderError(
                f"{own[0].method} of {own[0].experiment} with seed {own[0].seed} lacks the folds "
                f"{', '.join(map(str, missing))}, which other runs have; run them, or leave the others out"
            )
