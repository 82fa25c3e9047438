"""Figures of a paper from finished runs: reliability, seeds, committee size, training-set size, maps."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bisnn_pyro.analysis import (
    Plot,
    plot_committee_size,
    plot_forest,
    plot_predictive_map,
    plot_reliability,
)
from bisnn_pyro.experiments.build import build_task
from bisnn_pyro.results.report.classes import committee_curves
from bisnn_pyro.results.runs import Line, Runs, as_frame
from bisnn_pyro.results.studies.sweep import sweep_plots, sweep_rows

REFERENCE = "full-precision"
"""The method with real weights, of which figures show the first predictor only."""
SEEDS = {"accuracy": "accuracy", "nll": "NLL (nats)", "ece": "ECE"}
N_TRAIN = "data.n_train"

Plots = Iterator[tuple[str, Plot]]
"""Names of files and their figures."""


def by_experiment(runs: Runs) -> dict[str, Runs]:
    """Return the runs of each experiment."""
    names = dict.fromkeys(run.experiment for run in runs)
    return {name: Runs.of([run for run in runs if run.experiment == name]) for name in names}


def reliability(runs: Runs) -> Plots:
    """Yield the reliability diagram of each experiment's first seed, folds pooled."""
    experiments = by_experiment(runs)
    for name, own in experiments.items():
        votes = {line.label(p): line.votes(p, line.seeds[0]) for line, p in _shown(own)}
        yield (
            f"reliability-{name}" if len(experiments) > 1 else "reliability",
            plot_reliability(votes, own.bins),
        )


def seeds(runs: Runs) -> Plots:
    """Yield accuracy, NLL and ECE over training seeds; nothing for folds, which are not seeds."""
    if not runs.folds:
        scores = {
            line.label(p): {s: [run.metrics["predictors"][p][s] for run in line.runs] for s in SEEDS}
            for line, p in _shown(runs)
        }
        yield "seeds", plot_forest(scores, SEEDS)


def committee_size(runs: Runs) -> Plots:
    """Yield NLL and ECE of the first seed's committees against the number of members."""
    if curves := committee_curves(runs):
        yield "committee-size", plot_committee_size(curves)


def sizes(runs: Runs) -> Plots:
    """Yield scores against the number of training examples, with one experiment per number."""
    n_train = {name: len(build_task(own[0].config).train) for name, own in by_experiment(runs).items()}
    rows = sweep_rows(list(runs), N_TRAIN, {run: n_train[run.experiment] for run in runs})
    ticks = sorted(set(n_train.values()))
    for score, plot in sweep_plots(as_frame(rows), N_TRAIN).items():
        plot.axes[0].set_xticks(ticks, [str(tick) for tick in ticks])
        plot.axes[0].minorticks_off()
        yield f"sizes-{score}", plot


def predictive_map(runs: Runs) -> Plots:
    """Yield the first seed's predictive maps: real weights first, as in the paper, the committee last."""
    store = runs[0].store
    points = store.grid()["x"].values
    axis = np.unique(points[:, 0])
    panels = {
        line.label(p): line.first.store.grid_votes(p)[:, 1].reshape(len(axis), -1)
        for line in reversed(runs.lines)
        for p in ("mode", "committee")
        if p in line.predictors
    }
    zero, one = (f"class {name}" for name in store.class_names)
    names = {"class_names": (zero, one), "axis_names": ("$x_1$ (rescaled)", "$x_2$ (rescaled)")}
    yield "map", plot_predictive_map(axis, axis, panels, *store.training_points, **names)


def _shown(runs: Runs) -> list[tuple[Line, str]]:
    """Return the main predictors of all methods, the mode of committees, and real weights as they are."""
    found = []
    for line in runs.lines:
        names = line.main[:1] if line.first.method == REFERENCE else line.main
        found += [(line, p) for p in [*names, *(["mode"] if line.has_committee else [])]]
    return found
