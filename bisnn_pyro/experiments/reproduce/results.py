"""Tables and figures of finished runs: scores, reliability, seeds side by side, maps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bisnn_pyro.analysis import (
    Plot,
    committee_size_scores,
    plot_committee_size,
    plot_forest,
    plot_predictive_map,
    plot_reliability,
)
from bisnn_pyro.experiments.build import build_task
from bisnn_pyro.experiments.comparable import FinishedRun
from bisnn_pyro.experiments.compare import compare
from bisnn_pyro.experiments.fitted import load_run
from bisnn_pyro.experiments.report.lines import Line, gather
from bisnn_pyro.experiments.reproduce.place import Place
from bisnn_pyro.experiments.sweep import sweep_plots, sweep_rows
from bisnn_pyro.inference.process import steady_process

REFERENCE = "full-precision"
N_TRAIN = "data.n_train"
SWEPT = {"accuracy": "accuracy", "nll": "NLL (nats)", "ece": "ECE"}


def table(runs: Sequence[FinishedRun], place: Place, name: str = "scores") -> None:
    """Write the scores of all runs, and the differences to the first."""
    found = compare([run.folder.path for run in runs])
    place.table(name, found.scores)
    if found.differences is not None:
        place.table(f"{name}-differences", found.differences)


def tables(runs: Sequence[FinishedRun], place: Place) -> None:
    """Write a table an experiment."""
    for experiment, own in by_experiment(runs).items():
        table(own, place, f"scores-{experiment}")


def reliability(runs: Sequence[FinishedRun], place: Place) -> None:
    """Draw the reliability diagrams of each experiment's first seed, folds pooled."""
    several = len({run.config.experiment for run in runs}) > 1
    for experiment, own in by_experiment(runs).items():
        material = gather(own)
        votes = {
            _label(line, predictor): line.votes(predictor, line.seeds[0])
            for line in material.lines
            for predictor in shown(line)
        }
        place.figure(
            f"reliability-{experiment}" if several else "reliability", plot_reliability(votes, material.bins)
        )


def forest(runs: Sequence[FinishedRun], place: Place) -> None:
    """Draw accuracy, NLL and ECE over training seeds; folds are no seeds, and have no such figure."""
    material = gather(runs)
    if not material.folds:
        scores = {
            _label(line, predictor): {score: by_seed(line, predictor, score) for score in SWEPT}
            for line in material.lines
            for predictor in shown(line)
        }
        place.figure("seeds", plot_forest(scores, SWEPT))


def committee_size(runs: Sequence[FinishedRun], place: Place) -> None:
    """Draw NLL and ECE of the first seed's committees against the number of members."""
    material = gather(runs)
    lines = [line for line in material.lines if line.predictors[0] == "committee"]
    if lines:
        members = {line.name: line.members(line.seeds[0]) for line in lines}
        curves = {name: committee_size_scores(*pair, n_bins=material.bins) for name, pair in members.items()}
        place.figure("committee-size", plot_committee_size(curves))


def sizes(runs: Sequence[FinishedRun], place: Place) -> None:
    """Draw scores against the number of training examples, an experiment each."""
    sizes = {id(run): len(build_task(run.config).train) for run in runs}
    plots = sweep_plots(sweep_rows(runs, N_TRAIN, sizes), N_TRAIN)
    for score, plot in plots.items():
        _name_ticks(plot, sorted(set(sizes.values())))
        place.figure(f"sizes-{score}", plot)


def _name_ticks(plot: Plot, values: Sequence[int]) -> None:
    from matplotlib.ticker import NullLocator

    plot.axes[0].set_xticks(values, [str(value) for value in values])
    plot.axes[0].xaxis.set_minor_locator(NullLocator())


def predictive_map(runs: Sequence[FinishedRun], place: Place) -> None:
    """Draw the first seed's predictive maps: real weights first, as in the paper, the committee last."""
    config = runs[0].config
    axis = np.linspace(0, 1, config.analysis.resolution, dtype=np.float32)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    panels = {}
    with steady_process(config.train.threads):
        for line in reversed(gather(runs).lines):
            fitted = load_run(line.first.folder.path)
            for predictor in ("mode", "committee"):
                if predictor in fitted.predictors:
                    votes = fitted.predict_scaled(grid, predictor=predictor).mean[:, 1]
                    panels[_label(line, predictor)] = votes.reshape(len(axis), len(axis))
        task = build_task(config)
    classes = (f"class {task.classes[0]}", f"class {task.classes[1]}")
    names = ("$x_1$ (rescaled)", "$x_2$ (rescaled)")
    points = task.train.x, task.train.y
    place.figure(
        "map", plot_predictive_map(axis, axis, panels, *points, class_names=classes, axis_names=names)
    )


def shown(line: Line) -> list[str]:
    """Return the predictors that figures have room for: the method's own, at its temperature, a mode.

    Real weights are there for reference, as they are.
    """
    if line.first.config.method == REFERENCE:
        return line.predictors[:1]
    return [*line.main, "mode"] if line.predictors[0] == "committee" else line.main


def _label(line: Line, predictor: str) -> str:
    """Return the name of a predictor for a legend: a point estimate's mode is the method itself."""
    short = predictor if line.predictors[0] == "committee" else predictor.removeprefix("mode").lstrip("-")
    return f"{line.name} {short}".rstrip()


def by_seed(line: Line, predictor: str, score: str) -> np.ndarray:
    """Return a score by training seed, ``[K]``."""
    return np.array([line.of_seed(seed)[0].metrics["predictors"][predictor][score] for seed in line.seeds])


def by_experiment(runs: Sequence[FinishedRun]) -> dict[str, list[FinishedRun]]:
    """Return runs by the name of their experiment."""
    found: dict[str, list[FinishedRun]] = {}
    for run in runs:
        found.setdefault(run.config.experiment, []).append(run)
    return found
