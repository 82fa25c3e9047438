"""Finished runs as one noun: :class:`Runs` reads run folders, checks that they belong together, labels them.

:class:`FinishedRun` is one run folder, :class:`Line` one experiment and method over its seeds and folds, and
:func:`check_together` the one rule that says which runs may stand in one table.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bisnn_pyro.analysis import (
    PrintedTable,
    average_seeds,
    classification_points,
    printed_table,
    regression_points,
)
from bisnn_pyro.errors import ConfigError, RunFolderError
from bisnn_pyro.experiments.config import Config, flat_keys
from bisnn_pyro.experiments.folder import RunFolder
from bisnn_pyro.experiments.store import Store
from bisnn_pyro.results.differences import LEVEL, Key, difference_table

if TYPE_CHECKING:
    import xarray as xr

CLASSIFICATION = ("accuracy", "nll", "brier", "ece")
REGRESSION = ("rmse", "nll", "coverage90")
COSTS = {"weight_bits": 0, "spikes": 1, "train_seconds": 1}
"""Columns of costs, and their places after the point in a table."""

Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]

SAME_POINTS = ("n_train", "n_val", "val_fraction", "filters", "fold")
"""Keys of ``[data]`` that leave the test points as they are; folds are compared on their own."""

BINNING = ("time_step", "n_steps", "start", "zero", "sensor", "crop", "downsample", "polarity")
"""Keys that make other inputs of the same recordings, for runs that state which recordings were tested."""

FREE = frozenset(
    (
        "seed",
        "description",
        "train.threads",
        "train.checkpoint_every",
        "data.path",
        "data.cache",
        "data.fold",
    )
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
        return cls(folder, folder.read_config(), folder.read_json("metrics.json"), trust)

    @cached_property
    def store(self) -> Store:
        """What every predictor said.

        Raises:
            RunFolderError: if the file is missing, broken, or lacks a predictor of ``metrics.json``.
        """
        store = Store.open(self.folder)
        missing = [name for name in self.predictors if name not in store.predictors]
        if missing:
            raise RunFolderError(
                f"{self.folder.idata_path} lacks {', '.join(missing)}; `bisnn evaluate {self.folder.path}` "
                "writes it again"
            )
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
        """A hash of the recordings it was tested on; None of data that are not recordings."""
        if not (self.folder.path / "preprocessing.json").is_file():
            return None
        return self.folder.read_json("preprocessing.json").get("fingerprints", {}).get("test")

    def point_scores(self, predictor: str) -> dict[str, np.ndarray]:
        """Return a predictor's scores of each test point, ``[N]`` by metric (``mse`` for the RMSE)."""
        votes, targets = self.store.votes(predictor), self.store.targets
        if self.kind == "regression":
            assert self.store.noise_scale is not None
            return regression_points(votes, self.store.noise_scale, targets)
        return classification_points(votes, targets)

    def open(self, data_dir: str | os.PathLike[str] | None = None) -> tuple[Any, Any]:
        """Load the posterior and the data that it was fitted to.

        Args:
            data_dir: where the data are now, instead of the config's ``data.path``.

        Returns:
            The ``FittedRun`` and its ``Task``.

        Raises:
            RunFolderError: if a file is missing or broken, or the data are not those of the run.
        """
        from bisnn_pyro.experiments.evaluate import reopen

        return reopen(self.folder.path, data_dir, trust=self.trust)

    def row(self, predictor: str, **columns: Any) -> dict[str, Any]:
        """Return one row of a table: whose it is, then these columns."""
        run = {"experiment": self.experiment, "method": self.method, "seed": self.seed, "fold": self.fold}
        return {**run, "predictor": predictor, **columns}


@dataclass(frozen=True, eq=False)
class Line:
    """The runs of one experiment and method, over seeds and folds.

    Attributes:
        name: for legends and messages: the method, after its experiment where there are several.
        runs: by seed and fold.
    """

    name: str
    runs: tuple[FinishedRun, ...]

    @property
    def first(self) -> FinishedRun:
        """The run that stands for settings."""
        return self.runs[0]

    @property
    def seeds(self) -> list[int]:
        """Training seeds, ascending."""
        return sorted({run.seed for run in self.runs})

    @property
    def predictors(self) -> list[str]:
        """The predictors that all its runs have; the first is the method's own."""
        return [name for name in self.first.predictors if all(name in run.predictors for run in self.runs)]

    @property
    def main(self) -> list[str]:
        """The first predictor, and the same at its temperature: what a figure has room for."""
        first = self.predictors[0]
        return [name for name in self.predictors if name in (first, f"{first}-scaled")]

    def of_seed(self, seed: int) -> list[FinishedRun]:
        """Return the run of one seed, or its folds."""
        return [run for run in self.runs if run.seed == seed]

    def votes(self, predictor: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Return one seed's probabilities ``[N, C]`` or means ``[S, N]``, and targets ``[N]``.

        The folds of a cross-validation follow one another.
        """
        stores = [run.store for run in self.of_seed(seed)]
        axis = 1 if self.first.kind == "regression" else 0
        votes = np.concatenate([store.votes(predictor) for store in stores], axis)
        return votes, np.concatenate([store.targets for store in stores])

    def members(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the first predictor's draws ``[S, N, C]`` and the targets ``[N]`` of one seed.

        The folds of a cross-validation follow one another: a member is one network from each fold.
        """
        stores = [run.store for run in self.of_seed(seed)]
        draws = np.concatenate([store.members() for store in stores], axis=1)
        return draws, np.concatenate([store.targets for store in stores])

    @cached_property
    def has_committee(self) -> bool:
        """Whether the first predictor has several members."""
        return len(self.first.store.members()) > 1

    def point_scores(self, predictor: str) -> dict[str, np.ndarray]:
        """Return scores of each seed and test point, ``[K, N]`` by metric, folds one after the other."""
        seeds = [[run.point_scores(predictor) for run in self.of_seed(seed)] for seed in self.seeds]
        return {
            metric: np.stack([np.concatenate([fold[metric] for fold in folds]) for folds in seeds])
            for metric in seeds[0][0]
        }

    def dataset(self, predictor: str) -> xr.Dataset:
        """Return the votes of all seeds on the test points, labelled.

        Returns:
            ``probability`` (seed, point, class) and ``target`` (point); of a regression ``mean``
            (seed, draw, point), ``noise_scale`` (seed) and ``target``.  The folds of a cross-validation
            follow one another along ``point``, and ``noise_scale`` then also has that dimension.
        """
        import xarray as xr

        found = [self.votes(predictor, seed) for seed in self.seeds]
        votes, target = np.stack([vote for vote, _ in found]), ("point", found[0][1])
        if self.first.kind == "classification":
            names = list(self.first.store.class_names)
            data = {"probability": (("seed", "point", "class"), votes), "target": target}
            return xr.Dataset(data, {"seed": self.seeds, "class": names}, {"predictor": predictor})
        noise = [
            np.concatenate([np.full(len(r.store.targets), r.store.noise_scale) for r in self.of_seed(seed)])
            for seed in self.seeds
        ]
        scale = ("seed", [own[0] for own in noise]) if self.first.fold is None else (("seed", "point"), noise)
        means = {"mean": (("seed", "draw", "point"), votes), "noise_scale": scale, "target": target}
        return xr.Dataset(means, {"seed": self.seeds}, {"predictor": predictor})

    def run_name(self, run: FinishedRun) -> str:
        """Return the name of one of its runs in messages."""
        fold = "" if run.fold is None else f" fold {run.fold}"
        return f"{self.name}{fold} seed {run.seed}"

    def label(self, predictor: str) -> str:
        """Return the name of one of its predictors for a legend; a mode is the method itself."""
        short = predictor.removeprefix("mode").lstrip("-")
        return f"{self.name} {short}".rstrip()


class Runs:
    """Finished runs that belong together: the same test points, scored in the same way.

    Args:
        paths: one or more run folders, or folders that hold them (``summary/`` is skipped).
        trust: whether classes of a user's own that a config names may be imported.
        varying: a setting in which runs of one method may differ, such as ``"train.kl_weight"``.

    Raises:
        RunFolderError: if a folder is missing, holds no run or an unfinished one, or the runs do not belong
            in one table (see :func:`check_together`).

    Example:
        >>> runs = Runs("runs/digits")  # doctest: +SKIP
        >>> runs.scores().groupby(["method", "predictor"])["nll"].mean()  # doctest: +SKIP
        >>> plot_reliability(runs)  # doctest: +SKIP
    """

    def __init__(self, paths: Paths, *, trust: bool = False, varying: str | None = None) -> None:
        self._take(read_runs(paths, trust=trust), varying)

    @classmethod
    def of(cls, runs: Sequence[FinishedRun], *, varying: str | None = None) -> Runs:
        """Return runs that are read already, checked like those of the constructor."""
        self = cls.__new__(cls)
        self._take(runs, varying)
        return self

    def _take(self, runs: Sequence[FinishedRun], varying: str | None) -> None:
        check_together(runs, varying=varying)
        self.runs, self.varying = tuple(runs), varying

    def __iter__(self) -> Iterator[FinishedRun]:
        """Iterate over the runs in the order in which they were named."""
        return iter(self.runs)

    def __len__(self) -> int:
        """Return the number of runs."""
        return len(self.runs)

    def __getitem__(self, index: int) -> FinishedRun:
        """Return one run."""
        return self.runs[index]

    def __repr__(self) -> str:
        """The table of scores."""
        return self.table()

    def _repr_markdown_(self) -> str:
        """The table of scores, which notebooks show."""
        return self.table("markdown")

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        """The runs by experiment and method, in the order of their first appearance."""
        groups: dict[tuple[Any, ...], list[FinishedRun]] = {}
        for run in self.runs:
            value = () if self.varying is None else (run.config.value(self.varying),)
            groups.setdefault((run.experiment, run.method, *value), []).append(run)
        several = len({experiment for experiment, *_ in groups}) > 1
        lines = []
        for (experiment, method, *value), own in groups.items():
            varied = [f"{self.varying}={v}" for v in value]
            name = " ".join([experiment, method, *varied] if several else [method, *varied])
            lines.append(Line(name, tuple(sorted(own, key=lambda run: (run.seed, run.fold or 0)))))
        return tuple(lines)

    @property
    def kind(self) -> str:
        """``"classification"`` or ``"regression"``."""
        return self.runs[0].kind

    @property
    def bins(self) -> int:
        """Bins of the calibration error, the same for all runs."""
        return self.runs[0].config.analysis.bins

    @property
    def over(self) -> str:
        """What means and intervals are taken over: ``"seed"``, or ``"fold"`` in a cross-validation."""
        return "seed" if self.runs[0].fold is None else "fold"

    @property
    def folds(self) -> int:
        """Number of folds among the runs; 0 for data with a fixed test set."""
        return 0 if self.over == "seed" else len({run.fold for run in self.runs})

    @property
    def n_points(self) -> int:
        """Number of test points, over all folds."""
        line = self.lines[0]
        return sum(len(run.store.targets) for run in line.of_seed(line.seeds[0]))

    @property
    def metrics(self) -> tuple[str, ...]:
        """The scores that tables show."""
        return REGRESSION if self.kind == "regression" else CLASSIFICATION

    def named(self) -> dict[str, FinishedRun]:
        """Return all runs by the name that messages give them."""
        return {line.run_name(run): run for line in self.lines for run in line.runs}

    def each_seed(self) -> Iterator[tuple[Line, int]]:
        """Yield every line with each of its seeds."""
        for line in self.lines:
            for seed in line.seeds:
                yield line, seed

    def scores(self) -> pd.DataFrame:
        """Return the scores on the test points, one row per run and predictor.

        Returns:
            Columns experiment, method, seed, fold (missing for data with a fixed test set), predictor, the
            scores of ``metrics.json``, weight_bits, spikes and train_seconds.
        """
        rows = []
        for run in self.runs:
            record = run.metrics
            for name, scores in record["predictors"].items():
                costs = {
                    "weight_bits": record.get("weight_bits", {}).get(name),
                    "spikes": record.get("spikes_per_inference", {}).get(name),
                    "train_seconds": record["train_seconds"],
                }
                rows.append(run.row(name, **scores, **costs))
        return as_frame(rows)

    def differences(
        self, against: str | None = None, *, n_resamples: int = 2000, seed: int = 0
    ) -> pd.DataFrame:
        """Return paired differences of scores on the same test points, with bootstrap intervals.

        Args:
            against: the method that the others are subtracted from, with its first predictor; the first
                run's by default.
            n_resamples: bootstrap draws of the test points.
            seed: of the bootstrap.

        Returns:
            One row per other line and predictor: difference, n_points, then ``<metric>``, ``<metric>_low`` and
            ``<metric>_high`` for every score that is a mean over points; empty without other lines.

        Raises:
            ConfigError: if there is no such method.
        """
        found = self.difference_table(against, n_resamples=n_resamples, seed=seed)
        return pd.DataFrame() if found is None else found.frame

    def difference_table(
        self, against: str | None = None, *, n_resamples: int = 2000, seed: int = 0
    ) -> PrintedTable | None:
        """Return :meth:`differences` as a printed table; None where there is nothing to compare with."""
        points: dict[Key, dict[str, np.ndarray]] = {
            (line.name, predictor): line.point_scores(predictor)
            for line in self.lines
            for predictor in line.predictors
        }
        reference = self._reference(against)
        return difference_table(points, reference, self.metrics, n_resamples=n_resamples, seed=seed)

    def _reference(self, method: str | None) -> Key:
        for line in self.lines:
            if method in (None, line.first.method):
                return line.name, line.predictors[0]
        methods = ", ".join(dict.fromkeys(run.method for run in self.runs))
        raise ConfigError(f"--reference {method!r} is not a method of these runs; they have {methods}")

    def votes(self, predictor: str | None = None) -> dict[str, xr.Dataset]:
        """Return one predictor's votes on the test points, by the label that figures show.

        Args:
            predictor: its name, such as ``"mode"``; each line's first by default.

        Returns:
            See :meth:`Line.dataset`; lines without the predictor are left out.

        Raises:
            ConfigError: if no run has the predictor.
        """
        chosen = [(line, predictor or line.predictors[0]) for line in self.lines]
        found = {line.label(name): line.dataset(name) for line, name in chosen if name in line.predictors}
        if not found:
            names = ", ".join(dict.fromkeys(name for line in self.lines for name in line.predictors))
            raise ConfigError(f"no run has the predictor {predictor!r}; they have {names}")
        return found

    def score_table(self, metrics: Sequence[str] | None = None) -> PrintedTable:
        """Return mean scores and their Student t intervals over seeds (or folds), with the costs.

        Args:
            metrics: columns of :meth:`scores`; the usual scores and costs by default.
        """
        digits = {**dict.fromkeys(self.metrics, 4), **COSTS}
        columns = (*self.metrics, *COSTS) if metrics is None else tuple(metrics)
        table = line_table(self.scores(), columns, self.n_folds, digits=digits)
        return replace(table, notes=[*table.notes, *self.temperature_notes()])

    def table(self, style: str = "plain") -> str:
        """Return the table of scores as text: ``"plain"``, ``"markdown"``, ``"latex"`` or ``"csv"``.

        Raises:
            ConfigError: for another style.
        """
        if style not in ("plain", "markdown", "latex", "csv"):
            raise ConfigError(f"style {style!r} is not known; use plain, markdown, latex or csv")
        return getattr(self.score_table(), style)()

    @property
    def n_folds(self) -> int | None:
        """K of a cross-validation, of which the runs may be a part; None without one."""
        return None if self.over == "seed" else self.runs[0].config.n_folds

    def temperature_notes(self) -> list[str]:
        """Return the note on temperatures at a limit of their fit; an empty list if there are none."""
        from bisnn_pyro.analysis.temperature import limit_notes

        return limit_notes((line.name, run.temperatures) for line in self.lines for run in line.runs)


def as_runs(runs: Runs | Paths, *, trust: bool = False) -> Runs:
    """Return the runs in these folders, or the runs given."""
    return runs if isinstance(runs, Runs) else Runs(runs, trust=trust)


def as_frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return rows of :meth:`FinishedRun.row` as a frame; missing folds are ``<NA>``."""
    frame = pd.DataFrame(list(rows))
    return frame.astype({"fold": "Int64"})


def line_table(
    frame: pd.DataFrame,
    metrics: Sequence[str] | None,
    n_folds: int | None,
    *,
    notes: Sequence[str] = (),
    digits: Any = 4,
) -> PrintedTable:
    """Return means and Student t intervals over seeds, or over folds with seeds averaged first.

    Args:
        frame: rows of :meth:`FinishedRun.row`; columns of text tell the lines apart.
        metrics: the columns of numbers, in order; all of them if None.
        n_folds: K of a cross-validation; None without one.
        notes: further lines below the table.
        digits: places after the point, for all columns or by column.
    """
    if n_folds is None:
        table = printed_table(frame.drop(columns="fold"), metrics, level=LEVEL, digits=digits)
    else:
        averaged = average_seeds(frame.assign(n_folds=n_folds))
        table = printed_table(averaged, metrics, level=LEVEL, digits=digits)
    return replace(table, notes=[*table.notes, *notes])


def read_runs(paths: Paths, *, trust: bool = False) -> list[FinishedRun]:
    """Read run folders, and all those directly in folders that hold them (``summary/`` is skipped).

    Args:
        paths: one or more run folders or folders of runs; a run named twice counts once.
        trust: whether classes of a user's own that a config names may be imported.

    Raises:
        RunFolderError: if a folder is missing, holds no run, or a run is unfinished or lacks a file.
    """
    several = [paths] if isinstance(paths, str | os.PathLike) else paths
    folders: dict[Path, RunFolder] = {}
    for path in map(Path, several):
        for folder in _below(path):
            folders.setdefault(folder.path.resolve(), folder)
    if not folders:
        raise RunFolderError("no run folder is given")
    return [FinishedRun.read(folder, trust=trust) for folder in folders.values()]


def _below(path: Path) -> list[RunFolder]:
    if not path.is_dir():
        raise RunFolderError(f"{path} is not a folder; give run folders, or folders that hold them")
    if RunFolder(path).config_path.is_file():
        return [RunFolder(path)]
    inside = [RunFolder(p) for p in sorted(path.iterdir()) if p.name != "summary" and p.name[0] != "."]
    found = [folder for folder in inside if folder.config_path.is_file()]
    if not found:
        raise RunFolderError(
            f"{path} is not a run folder (no config.toml) and holds none; give runs/<experiment>, or "
            "runs/<experiment>/<method>-seed<k>"
        )
    return found


def check_together(runs: Sequence[FinishedRun], *, varying: str | None = None) -> None:
    """Refuse runs that do not belong in one table.

    Runs belong together when they were tested on the same points and scored in the same way, and when the
    seeds (and folds) of one experiment and method share all other settings.

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
        reason = why_apart(together, run, varying=varying)
        if reason is not None:
            raise RunFolderError(reason)
        together.append(run)
    _check_folds(together, varying)


def why_apart(together: Sequence[FinishedRun], run: FinishedRun, *, varying: str | None = None) -> str | None:
    """Return why a run does not belong in a table with these, which belong together; None if it does."""
    for other in together[:1]:
        if reason := _other_data(other, run) or _other_bins(other, run):
            return _apart(other, run, reason)
    for other in [one for one in together if one.fold == run.fold][:1]:
        if reason := _other_targets(other, run):
            return _apart(other, run, reason)
    own = [one for one in together if _group(one, varying) == _group(run, varying)]
    for other in own[:1]:
        changed = {name for name, _ in settings_of(other.config) ^ settings_of(run.config)}
        changed -= set() if varying is None else {varying, "experiment"}
        if changed:
            keys = ", ".join(sorted(changed))
            return _apart(other, run, f"the same experiment and method with other settings ({keys})", RENAME)
    for other in own:
        if _place(other, varying) == _place(run, varying):
            return _apart(other, run, "both are the same experiment, method and seed", RENAME)
    return None


def settings_of(config: Config) -> set[tuple[str, str]]:
    """Return the settings, dotted keys with values, in which the seeds of one line agree."""
    tables = {k: v for k, v in config.to_dict().items() if k not in ("analysis", "tune")}
    return {pair for pair in flat_keys(tables) if pair[0] not in FREE}


def _group(run: FinishedRun, varying: str | None) -> tuple[str, ...]:
    return (run.experiment, run.method) if varying is None else (run.method,)


def _place(run: FinishedRun, varying: str | None) -> tuple[Any, ...]:
    return (None if varying is None else run.config.value(varying)), run.fold, run.seed


def _other_data(a: FinishedRun, b: FinishedRun) -> str | None:
    if a.kind != b.kind:
        return f"one is a {a.kind}, the other a {b.kind}"
    if a.config.data.name != b.config.data.name:
        return f"the data are {a.config.data.name!r} and {b.config.data.name!r}"
    if (a.fold is None) != (b.fold is None):
        return "one is a fold of a cross-validation, the other is not"
    ignored = SAME_POINTS if None in (a.tested, b.tested) else SAME_POINTS + BINNING
    ours, theirs = (
        {(k, repr(v)) for k, v in run.config.data_settings.items() if k not in ignored} for run in (a, b)
    )
    if ours == theirs:
        return None
    keys = ", ".join(sorted({f"data.{key}" for key, _ in ours ^ theirs}))
    return f"{keys} differ, and so may their test points"


def _other_bins(a: FinishedRun, b: FinishedRun) -> str | None:
    same = a.config.analysis.bins == b.config.analysis.bins
    return None if same else "analysis.bins differs, and with it what their calibration errors mean"


def _other_targets(a: FinishedRun, b: FinishedRun) -> str | None:
    """The recordings, or else the targets with the settings of the data, tell the test points apart."""
    if None not in (a.tested, b.tested) and a.tested != b.tested:
        return "they were tested on other recordings"
    ours, theirs = a.store.targets, b.store.targets
    if len(ours) != len(theirs):
        return f"they have {len(ours)} and {len(theirs)} test points"
    differing = int((ours != theirs).sum())
    return f"their test points differ: {differing} targets of {len(ours)}" if differing else None


def _apart(a: FinishedRun, b: FinishedRun, why: str, way_out: str = "compare them separately") -> str:
    return f"{a.folder.path} and {b.folder.path} cannot stand in one table: {why}; {way_out}"


def _check_folds(runs: Sequence[FinishedRun], varying: str | None) -> None:
    """Refuse a cross-validation in which a seed lacks a fold that other runs have."""
    folds = {run.fold for run in runs}
    found: dict[tuple[Any, ...], dict[int | None, FinishedRun]] = {}
    for run in runs:
        value, fold, seed = _place(run, varying)
        found.setdefault((*_group(run, varying), value, seed), {})[fold] = run
    for own in found.values():
        missing = sorted(fold for fold in folds if fold is not None and fold not in own)
        if missing:
            run = next(iter(own.values()))
            raise RunFolderError(
                f"{run.method} of {run.experiment} with seed {run.seed} lacks the folds "
                f"{', '.join(map(str, missing))}, which other runs have; run them, or leave the others out"
            )
