"""What a stage makes of its runs: tables, figures, studies, and the committee's differences to the baseline."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bisnn_pyro.analysis import Plot, PrintedTable, plot_forest, printed_table, save_figure
from bisnn_pyro.results.compare import compare
from bisnn_pyro.results.report import figures
from bisnn_pyro.results.runs import Runs
from bisnn_pyro.results.studies import Study, out_of_distribution_study, shift_study, sweep_study

METHOD, BASELINE = "bayes", "straight-through"
SCORES = {"accuracy": "accuracy", "nll": "NLL (nats)", "brier": None, "ece": "ECE", "auroc": "AUROC"}
"""Scores of the differences, with the labels of those that figures show."""
NOTES = [
    f"{METHOD}'s committee minus {BASELINE} at its temperature, paired by training seed (by fold in a "
    "cross-validation); auroc: of the entropy, for out-of-distribution inputs",
    "in favour of the committee: accuracy and auroc above 0, nll, brier and ece below 0",
]

Made = Iterator[tuple[str, Any]]
"""Names with what belongs into files of that name: tables, figures and files; frames are for the differences."""


def save(out: Path, stem: str, made: PrintedTable | Plot | Path) -> list[str]:
    """Write a table or figure in all its formats, or move a file here; return the names of the files."""
    if isinstance(made, PrintedTable):
        files = [made.write(out / "tables" / f"{stem}.{suffix}") for suffix in ("csv", "md", "tex")]
    elif isinstance(made, Plot):
        files = list(save_figure(made.figure, out / "figures", stem, made.table).values())
    else:
        files = [out / ("tables" if stem.endswith("-runs") else "figures") / f"{stem}{made.suffix}"]
        files[0].parent.mkdir(parents=True, exist_ok=True)
        shutil.move(made, files[0])
    return [str(file.relative_to(out)) for file in files]


def _scores(runs: Runs, name: str = "scores") -> Made:
    found = compare(runs)
    yield name, found.scores
    if found.differences is not None:
        yield f"{name}-differences", found.differences
    yield "", runs.scores().assign(condition=lambda frame: frame["experiment"])


def _scores_apart(runs: Runs) -> Made:
    for name, own in figures.by_experiment(runs).items():
        yield from _scores(own, f"scores-{name}")


def _study(name: str, study: Callable[..., Study], runs: Runs, of: str, count: Any = None) -> Made:
    with tempfile.TemporaryDirectory() as folder:
        found = study(runs, of, out=folder)
        yield from ((file.stem, file) for file in found.files if file.stem != name)
    yield name, found.table
    if count is not None:
        yield "", count(found.frame)


def _shift(runs: Runs, kind: str) -> Made:
    def count(frame: pd.DataFrame) -> pd.DataFrame:
        own = frame[frame["severity"] != "0"]
        where = own["experiment"] + f", {kind} " + own["severity"]
        return own.assign(
            condition=where, question=f"shift {kind}"
        )  # a figure per kind: their NLLs differ widely

    return _study(f"shift-{kind}", shift_study, runs, kind, count)


def _outside(runs: Runs, against: str) -> Made:
    other = against.partition(":")[0]

    def count(frame: pd.DataFrame) -> pd.DataFrame:
        own = frame[frame["score"] == "entropy"]  # the uncertainty that all predictors have
        return own.assign(condition=own["experiment"] + f" against {other}")

    return _study(f"out-of-distribution-{other}", out_of_distribution_study, runs, against, count)


def _sweep(runs: Runs, key: str) -> Made:
    return _study(f"sweep-{key}", sweep_study, runs, key)


OUTPUTS: dict[str, Callable[..., Made]] = {
    "table": _scores,
    "tables": _scores_apart,
    "reliability": figures.reliability,
    "forest": figures.seeds,
    "committee-size": figures.committee_size,
    "sizes": figures.sizes,
    "map": figures.predictive_map,
    "shift": _shift,
    "outside": _outside,
    "sweep": _sweep,
}


def contrasts(frame: pd.DataFrame, runs: Runs) -> pd.DataFrame:
    """Return the committee's scores minus those of straight-through at its temperature.

    Args:
        frame: scores of every run and predictor, with the columns ``question`` and ``condition``.
        runs: the runs.

    Returns:
        One row per condition, seed (or fold) and ``committee``: as it is, and at its temperature.
    """
    keys, scores = ["question", "condition", "seed"], [score for score in SCORES if score in frame]
    frame = frame.assign(seed=frame[runs.over].astype(int))

    def of(method: str, place: int) -> pd.DataFrame:
        wanted = {
            line.first.experiment: line.main[place] for line in runs.lines if line.first.method == method
        }
        own = frame[(frame["method"] == method) & (frame["predictor"] == frame["experiment"].map(wanted))]
        return own.set_index(keys)[scores]

    baseline, found = of(BASELINE, -1), {"as it is": of(METHOD, 0), "at its temperature": of(METHOD, -1)}
    both = [(own - baseline).loc[own.index.intersection(baseline.index)] for own in found.values()]
    rows = pd.concat(both, keys=found, names=["committee"]).reset_index()
    return rows.sort_values("condition", key=_places, kind="stable")


def answer(rows: Iterable[Mapping[str, Any]]) -> Made:
    """Yield all differences as one table, and as figures by question and committee."""
    frame = pd.DataFrame(list(rows))
    if frame.empty:
        return
    frame = frame.drop_duplicates(["condition", "committee", "seed"])  # stages may share a condition
    frame = frame.sort_values("question", key=_places, kind="stable")
    shown = frame.reindex(columns=["question", "condition", "committee", "seed", *SCORES])
    table = printed_table(shown, [*SCORES], digits=4)
    yield "all", replace(table, notes=[*table.notes, *NOTES])
    for (question, committee), own in frame.groupby(["question", "committee"], sort=False):
        plot = contrast_plot(own)
        if plot is not None:
            yield f"{question} {committee}".replace(" ", "-"), plot


def contrast_plot(frame: pd.DataFrame) -> Plot | None:
    """Draw the finite differences by condition; None if there are none."""
    lines: dict[str, dict[str, np.ndarray]] = {}
    for score, label in SCORES.items():
        finite = frame[np.isfinite(frame[score])] if label and score in frame else frame[:0]
        for condition, own in finite.groupby("condition", sort=False):
            lines.setdefault(str(condition), {})[score] = own[score].to_numpy()
    panels = {
        score: f"Δ {label}" for score, label in SCORES.items() if any(score in own for own in lines.values())
    }
    if not panels:
        return None
    order = sorted(lines, key=list(frame["condition"]).index)
    plot = plot_forest({name: lines[name] for name in order}, panels)
    for ax in plot.axes:
        ax.axvline(0, color="0.6", linewidth=0.8, zorder=1)
    return plot


def _places(names: pd.Series) -> pd.Series:
    """Return when each name first appears, to sort by."""
    return names.map({name: place for place, name in enumerate(dict.fromkeys(names))})
