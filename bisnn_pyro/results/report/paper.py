"""Tables and figures of a paper from finished runs, and when a posterior helps.

Each function takes runs and yields names with what goes into files of that name: a table, a figure, or a file
that is written already.  Data frames hold scores under a ``condition``, which :func:`contrasts` compares.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bisnn_pyro.analysis import (
    Plot,
    PrintedTable,
    plot_committee_size,
    plot_forest,
    plot_predictive_map,
    plot_reliability,
    printed_table,
    save_figure,
)
from bisnn_pyro.experiments.build import build_task
from bisnn_pyro.results.comparison import compare
from bisnn_pyro.results.report.classes import committee_curves
from bisnn_pyro.results.runs import Line, Runs, as_frame
from bisnn_pyro.results.studies import Study, out_of_distribution_study, shift_study, sweep_study
from bisnn_pyro.results.studies.sweep import sweep_plots, sweep_rows

METHOD, BASELINE, REFERENCE = "bayes", "straight-through", "full-precision"
"""The committee's method, what it is compared with, and real weights, which figures show as they are."""
SEEDS = {"accuracy": "accuracy", "nll": "NLL (nats)", "ece": "ECE"}
SCORES = {"accuracy": "accuracy", "nll": "NLL (nats)", "brier": None, "ece": "ECE", "auroc": "AUROC"}
"""Scores of the differences, with the labels of those that figures show."""
NOTES = [
    f"{METHOD}'s committee minus {BASELINE} at its temperature, paired by training seed (by fold in a "
    "cross-validation); auroc: of the entropy, for out-of-distribution inputs",
    "in favour of the committee: accuracy and auroc above 0, nll, brier and ece below 0",
]
N_TRAIN = "data.n_train"

Made = Iterator[tuple[str, Any]]


def by_experiment(runs: Runs) -> dict[str, Runs]:
    """Return the runs of each experiment."""
    names = dict.fromkeys(run.experiment for run in runs)
    return {name: Runs.of([run for run in runs if run.experiment == name]) for name in names}


def reliability(runs: Runs) -> Made:
    """Yield the reliability diagram of each experiment's first seed, folds pooled."""
    experiments = by_experiment(runs)
    for name, own in experiments.items():
        votes = {_label(line, p): line.votes(p, line.seeds[0]) for line, p in _shown(own)}
        stem = f"reliability-{name}" if len(experiments) > 1 else "reliability"
        yield stem, plot_reliability(votes, own.bins)


def seeds(runs: Runs) -> Made:
    """Yield accuracy, NLL and ECE over training seeds; nothing for folds, which are not seeds."""
    if not runs.folds:
        scores = {
            _label(line, p): {s: [run.metrics["predictors"][p][s] for run in line.runs] for s in SEEDS}
            for line, p in _shown(runs)
        }
        yield "seeds", plot_forest(scores, SEEDS)


def committee_size(runs: Runs) -> Made:
    """Yield NLL and ECE of the first seed's committees against the number of members."""
    if curves := committee_curves(runs):
        yield "committee-size", plot_committee_size(curves)


def sizes(runs: Runs) -> Made:
    """Yield scores against the number of training examples, with one experiment per number."""
    n_train = {name: len(build_task(own[0].config).train) for name, own in by_experiment(runs).items()}
    rows = sweep_rows(list(runs), N_TRAIN, {run: n_train[run.experiment] for run in runs})
    ticks = sorted(set(n_train.values()))
    for score, plot in sweep_plots(as_frame(rows), N_TRAIN).items():
        plot.axes[0].set_xticks(ticks, [str(tick) for tick in ticks])
        plot.axes[0].minorticks_off()
        yield f"sizes-{score}", plot


def predictive_map(runs: Runs) -> Made:
    """Yield the first seed's predictive maps: real weights first, as in the paper, the committee last."""
    store = runs[0].store
    axis = np.unique(store.dataset("grid")["x"].values[:, 0])
    panels = {
        _label(line, p): line.first.store.grid_votes(p)[:, 1].reshape(len(axis), -1)
        for line in reversed(runs.lines)
        for p in ("mode", "committee")
        if p in line.predictors
    }
    zero, one = (f"class {name}" for name in store.class_names)
    names = {"class_names": (zero, one), "axis_names": ("$x_1$ (rescaled)", "$x_2$ (rescaled)")}
    yield "map", plot_predictive_map(axis, axis, panels, *store.training_points, **names)


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


def scores(runs: Runs, name: str = "scores") -> Made:
    """Yield the table of all runs, and the differences to the first."""
    found = compare(runs)
    yield name, found.scores
    if found.differences is not None:
        yield f"{name}-differences", found.differences
    yield "", runs.scores().assign(condition=lambda frame: frame["experiment"])


def scores_apart(runs: Runs) -> Made:
    """Yield the tables of each experiment."""
    for name, own in by_experiment(runs).items():
        yield from scores(own, f"scores-{name}")


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
        return own.assign(condition=where, question=f"shift {kind}")  # one figure each: NLLs differ widely

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
    "table": scores,
    "tables": scores_apart,
    "reliability": reliability,
    "forest": seeds,
    "committee-size": committee_size,
    "sizes": sizes,
    "map": predictive_map,
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
    keys, shown = ["question", "condition", "seed"], [score for score in SCORES if score in frame]
    frame = frame.assign(seed=frame[runs.over].astype(int))

    def of(method: str, place: int) -> pd.DataFrame:
        lines = [line for line in runs.lines if line.first.method == method]
        wanted = {line.first.experiment: line.main[place] for line in lines}
        own = frame[(frame["method"] == method) & (frame["predictor"] == frame["experiment"].map(wanted))]
        return own.set_index(keys)[shown]

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
    """Draw the finite differences by condition; None without any."""
    lines: dict[str, dict[str, np.ndarray]] = {}
    for score, label in SCORES.items():
        finite = frame[np.isfinite(frame[score])] if label and score in frame else frame[:0]
        for condition, own in finite.groupby("condition", sort=False):
            lines.setdefault(str(condition), {})[score] = own[score].to_numpy()
    if not lines:
        return None
    there = {score for own in lines.values() for score in own}
    panels = {score: f"Δ {label}" for score, label in SCORES.items() if score in there}
    order = sorted(lines, key=list(frame["condition"]).index)
    plot = plot_forest({name: lines[name] for name in order}, panels)
    for ax in plot.axes:
        ax.axvline(0, color="0.6", linewidth=0.8, zorder=1)
    return plot


def _places(names: pd.Series) -> pd.Series:
    """Return when each name first appears, to sort by."""
    return names.map({name: place for place, name in enumerate(dict.fromkeys(names))})


def _shown(runs: Runs) -> list[tuple[Line, str]]:
    """Return the main predictors of all methods, the mode of committees, and real weights as they are."""
    found = []
    for line in runs.lines:
        names = line.main[:1] if line.first.method == REFERENCE else line.main
        found += [(line, p) for p in [*names, *(["mode"] if line.has_committee else [])]]
    return found


def _label(line: Line, predictor: str) -> str:
    """Return a name for a legend that also tells a committee's mode from the committee."""
    name = line.label(predictor)
    return f"{name} ({predictor})" if line.has_committee and name == line.name else name
