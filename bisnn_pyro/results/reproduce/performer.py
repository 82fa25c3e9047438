"""Performs a plan: makes the runs, tables and figures that are missing, and writes ``README.md``."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from bisnn_pyro.analysis import Plot, PrintedTable, plot_forest, printed_table, save_figure
from bisnn_pyro.data import FOLDER_VARIABLE, published_size
from bisnn_pyro.errors import BisnnError, ConfigError, RunFolderError
from bisnn_pyro.experiments.batch import run_experiment
from bisnn_pyro.experiments.folder import RunFolder, environment
from bisnn_pyro.experiments.run import finished_alike
from bisnn_pyro.files import PREFIX, atomic_path
from bisnn_pyro.results.compare import compare
from bisnn_pyro.results.report import figures
from bisnn_pyro.results.report.blocks import numbers
from bisnn_pyro.results.reproduce.plan import PUBLISHED, Batch, Settings, Stage, bisnn_2021
from bisnn_pyro.results.runs import Runs, read_runs
from bisnn_pyro.results.studies import Study, out_of_distribution_study, shift_study, sweep_study

PLANS: dict[str, Callable[[Settings], list[Stage]]] = {"bisnn-2021": bisnn_2021}
METHOD, BASELINE = "bayes", "straight-through"
SCORES = {"accuracy": "accuracy", "nll": "NLL (nats)", "brier": "", "ece": "ECE", "auroc": "AUROC"}
"""Scores of the answer, with the label of those that its figures show."""
NOTES = [
    f"{METHOD}'s committee minus {BASELINE} at its temperature, paired by training seed (by fold in a "
    "cross-validation); auroc: of the entropy, for out-of-distribution inputs",
    "in favour of the committee: accuracy and auroc above 0, nll, brier and ece below 0",
]
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
ANSWER = """
## When the posterior helps

The committee's scores minus those of a straight-through net at its temperature, under all conditions below.

"""


class Place:
    """The tables and figures of a stage: names begin with `prefix`; ``files`` are relative to `out`."""

    def __init__(self, out: Path, prefix: str, data_dir: Path | None = None) -> None:
        self.out, self.prefix, self.data_dir = out, prefix, data_dir
        self.files: list[str] = []

    def table(self, name: str, table: PrintedTable) -> None:
        """Write a table in all formats."""
        stem = self.out / "tables" / f"{self.prefix}-{name}"
        self._add(table.write(f"{stem}.{suffix}") for suffix in ("csv", "md", "tex"))

    def figures(self, plots: Iterable[tuple[str, Plot]]) -> None:
        """Write figures with their numbers."""
        for name, plot in plots:
            stem = f"{self.prefix}-{name}"
            self._add(save_figure(plot.figure, self.out / "figures", stem, plot.table).values())

    def study(self, name: str, study: Callable[..., Study], *arguments: Any) -> pd.DataFrame:
        """Write the files of a study, its table in all formats; return the numbers of all runs."""
        with tempfile.TemporaryDirectory(prefix=PREFIX, dir=self.out) as folder:
            found = study(*arguments, out=folder)
            for file in [file for file in found.files if file.name != f"{name}.csv"]:
                kind = "tables" if file.stem == f"{name}-runs" else "figures"
                target = self.out / kind / f"{self.prefix}-{file.name}"
                target.parent.mkdir(exist_ok=True)
                os.replace(file, target)
                self._add([target])
        self.table(name, found.table)
        return found.frame

    def _add(self, files: Iterable[Path]) -> None:
        self.files += [str(file.relative_to(self.out)) for file in files]


def _scores(runs: Runs, name: str, place: Place) -> pd.DataFrame:
    found = compare(runs)
    place.table(f"scores{name}", found.scores)
    if found.differences is not None:
        place.table(f"scores{name}-differences", found.differences)
    return runs.scores().assign(condition=lambda frame: frame["experiment"])


def _scores_apart(runs: Runs, _: str, place: Place) -> pd.DataFrame:
    own = figures.by_experiment(runs)
    return pd.concat([_scores(part, f"-{name}", place) for name, part in own.items()])


def _figure(make: Callable[[Runs], figures.Plots], runs: Runs, _: str, place: Place) -> None:
    place.figures(make(runs))


def _shift(runs: Runs, kind: str, place: Place) -> pd.DataFrame:
    found = place.study(f"shift-{kind}", shift_study, runs, kind)
    found = found[found["severity"] != "0"]
    where = found["experiment"] + f", {kind} " + found["severity"]
    return found.assign(condition=where, question=f"shift {kind}")  # one figure per kind: their NLLs differ by far


def _outside(runs: Runs, other: str, place: Place) -> pd.DataFrame:
    against = f"{other}:{place.data_dir}" if place.data_dir and other in PUBLISHED else other
    found = place.study(f"out-of-distribution-{other}", out_of_distribution_study, runs, against)
    found = found[found["score"] == "entropy"]  # the score that all predictors have
    return found.assign(condition=found["experiment"] + f" against {other}")


def _sweep(runs: Runs, key: str, place: Place) -> None:
    place.study(f"sweep-{key}", sweep_study, runs, key)


OUTPUTS: dict[str, Callable[[Runs, str, Place], pd.DataFrame | None]] = {
    "table": _scores,
    "tables": _scores_apart,
    "reliability": partial(_figure, figures.reliability),
    "forest": partial(_figure, figures.seeds),
    "committee-size": partial(_figure, figures.committee_size),
    "sizes": partial(_figure, figures.sizes),
    "map": partial(_figure, figures.predictive_map),
    "shift": _shift,
    "outside": _outside,
    "sweep": _sweep,
}
"""What is made of runs; those that return scores of all runs, with a ``condition``, count for the answer."""


def contrasts(frame: pd.DataFrame, runs: Runs) -> pd.DataFrame:
    """Return the committee's scores minus those of straight-through at its temperature.

    Args:
        frame: scores of every run and predictor, with the columns ``question`` and ``condition``.
        runs: the runs.

    Returns:
        One row per condition, seed (or fold) and ``committee``: as it is, and at its temperature.
    """
    scores = [score for score in SCORES if score in frame]
    frame = frame.assign(seed=frame[runs.over].astype(int))

    def of(method: str, place: int) -> pd.DataFrame:
        wanted = {line.first.experiment: line.main[place] for line in runs.lines if line.first.method == method}
        own = frame[(frame["method"] == method) & (frame["predictor"] == frame["experiment"].map(wanted))]
        return own.set_index(["question", "condition", "seed"])[scores]

    baseline, found = of(BASELINE, -1), {"as it is": of(METHOD, 0), "at its temperature": of(METHOD, -1)}
    both = [(own - baseline).loc[own.index.intersection(baseline.index)] for own in found.values()]
    rows = pd.concat(both, keys=found, names=["committee"]).reset_index()
    order = {name: place for place, name in enumerate(dict.fromkeys(frame["condition"]))}
    return rows.sort_values("condition", key=lambda names: names.map(order), kind="stable")


def contrast_plot(frame: pd.DataFrame) -> Plot | None:
    """Draw finite differences by condition; None if there are none."""
    lines: dict[str, dict[str, np.ndarray]] = {}
    for condition, own in frame.groupby("condition", sort=False):
        finite = {score: own[score][np.isfinite(own[score])].to_numpy() for score in SCORES if score in own}
        lines[str(condition)] = {score: values for score, values in finite.items() if len(values)}
    there = [score for score, label in SCORES.items() if label and any(score in own for own in lines.values())]
    if not there:
        return None
    plot = plot_forest({name: own for name, own in lines.items() if own}, {s: f"Δ {SCORES[s]}" for s in there})
    for ax in plot.axes:
        ax.axvline(0, color="0.6", linewidth=0.8, zorder=1)
    return plot


def write_answer(place: Place, rows: Iterable[dict[str, Any]]) -> None:
    """Write the differences under all conditions as one table, and as figures by question."""
    frame = pd.DataFrame(list(rows))
    if frame.empty:
        return
    frame = frame.drop_duplicates(["condition", "committee", "seed"])  # stages may share a condition
    columns = ["question", "condition", "committee", "seed", *SCORES]
    order = frame["question"].map({name: k for k, name in enumerate(dict.fromkeys(frame["question"]))})
    table = printed_table(frame.reindex(columns=columns).iloc[order.argsort(kind="stable")], [*SCORES], digits=4)
    place.table("all", replace(table, notes=[*table.notes, *NOTES]))
    for (question, committee), own in frame.groupby(["question", "committee"], sort=False):
        plot = contrast_plot(own)
        if plot is not None:
            place.figures([(f"{question} {committee}".replace(" ", "-"), plot)])
