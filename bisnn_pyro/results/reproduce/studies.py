"""Studies of finished runs as outputs of a stage: shift, and inputs from outside."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from bisnn_pyro.experiments.comparable import FinishedRun
from bisnn_pyro.experiments.outside import outside_study
from bisnn_pyro.experiments.reproduce.contrasts import contrasts
from bisnn_pyro.experiments.reproduce.place import Place
from bisnn_pyro.experiments.reproduce.presence import PUBLISHED
from bisnn_pyro.experiments.shift import shift_study
from bisnn_pyro.experiments.study import Row, Study
from bisnn_pyro.experiments.sweep import sweep_study

SCORE = "entropy"
"""The score of inputs from outside that all predictors have, and by which they are compared."""


def shift(runs: Sequence[FinishedRun], place: Place, kinds: Sequence[str]) -> list[Row]:
    """Score runs under shifts; return what the committee gains at each severity."""
    paths = [run.folder.path for run in runs]
    found: list[Row] = []
    for kind in kinds:
        study = place.study(f"shift-{kind}", partial(_shift, paths, kind))
        changed = (row for row in study.rows if row["severity"] != "0")
        rows = contrasts(changed, partial(_at_severity, kind))
        found += [{"question": f"shift {kind}", **row} for row in rows]  # a figure a kind: NLLs differ by far
    return found


def outside(
    runs: Sequence[FinishedRun], place: Place, others: Sequence[str], data_dir: Path | None
) -> list[Row]:
    """Score how runs tell inputs from outside; return what the committee gains at each."""
    paths = [run.folder.path for run in runs]
    found: list[Row] = []
    for other in others:
        against = f"{other}:{data_dir}" if data_dir is not None and other in PUBLISHED else other
        study = place.study(f"outside-{other}", partial(_outside, paths, against))
        by_score = (row for row in study.rows if row["score"] == SCORE)
        found += contrasts(by_score, partial(_against, other))
    return found


def sweep(runs: Sequence[FinishedRun], place: Place, keys: Sequence[str]) -> None:
    """Draw the scores of runs against the settings in which they differ."""
    paths = [run.folder.path for run in runs]
    for key in keys:
        place.study(f"sweep-{key}", partial(_sweep, paths, key))


def _sweep(paths: Sequence[Path], key: str, folder: Path) -> Study:
    return sweep_study(paths, key, out=folder)


def _shift(paths: Sequence[Path], kind: str, folder: Path) -> Study:
    return shift_study(paths, kind, out=folder)


def _outside(paths: Sequence[Path], against: str, folder: Path) -> Study:
    return outside_study(paths, against, out=folder)


def _at_severity(kind: str, row: Row) -> str:
    return f"{row['experiment']}, {kind} {row['severity']}"


def _against(other: str, row: Row) -> str:
    return f"{row['experiment']} against {other}"
