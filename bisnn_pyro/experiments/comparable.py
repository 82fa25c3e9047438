"""The finished runs that a comparison is given, and whether they can stand in one table."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bisnn_pyro.errors import RunFolderError
from bisnn_pyro.experiments.config import Config, flat_keys
from bisnn_pyro.experiments.folder import RunFolder
from bisnn_pyro.experiments.predictions import StoredPredictions, read_predictions

OTHER_POINTS = ("n_train", "n_val", "val_fraction", "filters", "fold")
"""Keys of ``[data]`` that leave the test points as they are, and the fold, which is looked at by itself."""

BINNING = ("time_step", "n_steps", "start", "zero", "sensor", "crop", "downsample", "polarity")
"""Those that make other inputs of the same recordings, where a run says which recordings it was tested on."""

BESIDE = (
    "seed",
    "description",
    "train.threads",
    "train.checkpoint_every",
    "data.path",
    "data.cache",
    "data.fold",
)
"""Keys in which the seeds of one line may differ; so may ``[analysis]`` and ``[tune]``."""

NAME = "give one a name of its own with --set experiment=NAME, or leave it out"


@dataclass(frozen=True)
class FinishedRun:
    """A finished run, read.

    Attributes:
        folder: where it is.
        config: its config.
        metrics: its ``metrics.json``.
        predictions: its ``predictions.npz``.
        tested: which recordings its test points are, a hash; None where its data do not say.
    """

    folder: RunFolder
    config: Config
    metrics: dict[str, Any]
    predictions: StoredPredictions
    tested: str | None = None

    @property
    def line(self) -> tuple[str, str]:
        """Experiment and method, over whose seeds the table takes its means."""
        return self.config.experiment, self.config.method


def finished_runs(paths: Iterable[str | os.PathLike[str]]) -> list[FinishedRun]:
    """Read run folders, and all those directly in folders that hold them (``summary/`` is none).

    Args:
        paths: each a run folder or a folder of runs; a run named twice counts once.

    Raises:
        RunFolderError: if a folder is missing, holds no run, or a run is unfinished or lacks a file.
    """
    folders: dict[Path, RunFolder] = {}
    for path in map(Path, paths):
        for folder in _below(path):
            folders.setdefault(folder.path.resolve(), folder)
    return [_read(folder) for folder in folders.values()]


def _below(path: Path) -> list[RunFolder]:
    if not path.is_dir():
        raise RunFolderError(f"{path} is not a folder; give run folders, or folders that hold them")
    if RunFolder(path).config_path.is_file():
        return [RunFolder(path)]
    inside = [RunFolder(p) for p in sorted(path.iterdir()) if p.name != "summary" and p.name[0] != "."]
    found = [folder for folder in inside if folder.config_path.is_file()]
    if not found:
        raise RunFolderError(
            f"{path} is not a run folder (no config.toml), nor does it hold any; give runs/<experiment>, "
            "or runs/<experiment>/<method>-seed<k>"
        )
    return found


def _read(folder: RunFolder) -> FinishedRun:
    if not folder.finished:
        what = "was cut off" if folder.resumable else "has no metrics.json"
        raise RunFolderError(
            f"{folder.path} {what}: it is not finished; finish it with `bisnn run ... --resume`, or name the "
            "finished runs one by one"
        )
    metrics, predictions = folder.read_json("metrics.json"), read_predictions(folder)
    lacking = [name for name in metrics["predictors"] if name not in predictions.votes]
    if lacking:
        raise RunFolderError(
            f"{folder.predictions_path} lacks {', '.join(lacking)}; "
            f"`bisnn evaluate {folder.path}` writes it anew"
        )
    stored = folder.read_json("preprocessing.json") if (folder.path / "preprocessing.json").is_file() else {}
    tested = stored.get("fingerprints", {}).get("test")
    return FinishedRun(folder, folder.read_config(), metrics, predictions, tested)


def check_comparable(runs: Sequence[FinishedRun]) -> None:
    """Refuse runs that do not belong in one table.

    Raises:
        RunFolderError: runs on other data or test points, regressions beside classifications, other bins
            of the calibration error, seeds of one line with other settings, or a seed that is there twice;
            in a cross-validation, lines with other folds, or folds with other seeds.
    """
    first = runs[0]
    of_fold: dict[int | None, FinishedRun] = {}
    for run in runs:
        _check_data(first, run)
        _check_targets(of_fold.setdefault(run.config.fold, run), run)
        if run.config.analysis.bins != first.config.analysis.bins:
            _refuse(first, run, "analysis.bins differs, and with it what their calibration errors mean")
    lines: dict[tuple[str, str], dict[tuple[int | None, int], FinishedRun]] = {}
    for run in runs:
        own = lines.setdefault(run.line, {})
        _check_settings(own, run)
        own[run.config.fold, run.config.seed] = run
    for own in lines.values():
        _check_folds(own, set(of_fold))


def _check_data(a: FinishedRun, b: FinishedRun) -> None:
    kinds = ["classification" if run.predictions.noise_scale is None else "regression" for run in (a, b)]
    if kinds[0] != kinds[1]:
        _refuse(a, b, f"one is a {kinds[0]}, the other a {kinds[1]}")
    if a.config.data.name != b.config.data.name:
        _refuse(a, b, f"the data are {a.config.data.name!r} and {b.config.data.name!r}")
    if (a.config.fold is None) != (b.config.fold is None):
        _refuse(a, b, "one is a fold of a cross-validation, the other is not")
    beside = OTHER_POINTS if None in (a.tested, b.tested) else OTHER_POINTS + BINNING
    ours, theirs = (
        {(k, repr(v)) for k, v in run.config.data_settings.items() if k not in beside} for run in (a, b)
    )
    if ours != theirs:
        keys = ", ".join(sorted({f"data.{key}" for key, _ in ours ^ theirs}))
        _refuse(a, b, f"{keys} differ, and so may their test points")


def _check_targets(a: FinishedRun, b: FinishedRun) -> None:
    """The recordings, or else the targets with the settings of the data, say which the test points are."""
    if None not in (a.tested, b.tested) and a.tested != b.tested:
        _refuse(a, b, "they were tested on other recordings")
    ours, theirs = a.predictions.y, b.predictions.y
    if len(ours) != len(theirs):
        _refuse(a, b, f"they have {len(ours)} and {len(theirs)} test points")
    differing = int((ours != theirs).sum())
    if differing:
        _refuse(a, b, f"their test points are not the same: {differing} targets of {len(ours)} differ")


def _check_settings(own: Mapping[tuple[int | None, int], FinishedRun], run: FinishedRun) -> None:
    """Refuse a run that is no further seed or fold of its line."""
    key = run.config.fold, run.config.seed
    if key in own:
        _refuse(own[key], run, "both are the same experiment, method and seed", NAME)
    for other in list(own.values())[:1]:
        changed = sorted({name for name, _ in settings_of(other.config) ^ settings_of(run.config)})
        if changed:
            what = f"the same experiment and method with other settings ({', '.join(changed)})"
            _refuse(other, run, what, NAME)


def _check_folds(own: Mapping[tuple[int | None, int], FinishedRun], folds: set[int | None]) -> None:
    if folds == {None}:
        return
    for seed in {seed for _, seed in own}:
        lacking = sorted(fold for fold in folds if fold is not None and (fold, seed) not in own)
        if lacking:
            run = next(iter(own.values()))
            raise RunFolderError(
                f"{run.config.method} of {run.config.experiment} with seed {seed} lacks the folds "
                f"{', '.join(map(str, lacking))}, which other runs have; run them, or leave the others out"
            )


def _refuse(a: FinishedRun, b: FinishedRun, why: str, way_out: str = "compare them apart") -> None:
    raise RunFolderError(f"{a.folder.path} and {b.folder.path} cannot stand in one table: {why}; {way_out}")


def settings_of(config: Config) -> set[tuple[str, str]]:
    """Return the settings, dotted keys with values, in which the seeds of a line are alike."""
    tables = {k: v for k, v in config.to_dict().items() if k not in ("analysis", "tune")}
    return {pair for pair in flat_keys(tables) if pair[0] not in BESIDE}
