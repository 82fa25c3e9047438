"""The figures of one run, and those that put methods side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from bisnn_pyro.analysis import (
    Plot,
    group,
    load_idata,
    mutual_information,
    plot_predictive_map,
    plot_regression_band,
    plot_reliability,
    plot_training_curves,
    save_figure,
)
from bisnn_pyro.data import Task, curve_grid
from bisnn_pyro.experiments.early import STOPPING
from bisnn_pyro.experiments.early_summary import stopping_plot
from bisnn_pyro.experiments.evaluate import Evaluation
from bisnn_pyro.experiments.fitted import FittedRun, load_run
from bisnn_pyro.experiments.folder import RunFolder
from bisnn_pyro.inference import History

EPISTEMIC = "epistemic"


def draw_run_figures(
    folder: RunFolder, fitted: FittedRun, task: Task, evaluation: Evaluation, history: History
) -> None:
    """Draw the figures of one run, each with its CSV."""
    save = _Saver(folder.figures)
    save("training", plot_training_curves({fitted.config.method: _columns(history)}))
    bins = fitted.config.analysis.bins
    if task.kind == "classification":
        votes = {name: (p.mean, task.test.y) for name, p in evaluation.predictions.items()}
        save("reliability", plot_reliability(votes, bins))
    if has_map(task):
        axis, panels = predictive_map(fitted)
        save("predictive", _draw_map(axis, _titled(panels, fitted), task))
    elif fitted.config.data.name == "curve":
        save("predictive", _draw_bands({fitted.config.method: fitted}, task))


def draw_summary_figures(out: Path, runs: Mapping[str, Sequence[RunFolder]], task: Task) -> None:
    """Draw the figures that put methods side by side, a seed each.

    In a cross-validation the reliability is that of all folds' test points together; what belongs to one
    network (its training, its map, when it stops early) is that of the first fold, and says so.

    Args:
        out: where they go.
        runs: method -> its run, or its runs on each fold, all of one seed.
        task: the data, of the first fold.
    """
    save = _Saver(out)
    config = next(iter(runs.values()))[0].read_config()
    fold = "" if config.fold is None else f", fold {config.fold}"
    first = {f"{method}{fold}": folders[0] for method, folders in runs.items()}
    histories = {name: _columns(History.read_csv(folder.history_path)) for name, folder in first.items()}
    save("training", plot_training_curves(histories))
    if task.kind == "classification":
        save("reliability", plot_reliability(dict(map(_pooled, runs, runs.values())), config.analysis.bins))
    stopping = stopping_plot(first)
    if stopping is not None:
        save(STOPPING, stopping)
    if has_map(task):
        panels: dict[str, np.ndarray] = {}
        for folder in first.values():
            axis, own = _read_map(folder.figures / "predictive.csv")
            panels |= {f"{fold[2:]}: {title}" if fold else title: values for title, values in own.items()}
        save("predictive", _draw_map(axis, panels, task))
    elif config.data.name == "curve":
        save("predictive", _draw_bands({name: load_run(f.path) for name, f in first.items()}, task))


def _pooled(method: str, folders: Sequence[RunFolder]) -> tuple[str, tuple[np.ndarray, np.ndarray]]:
    """Return a line's name, and the votes and labels of the test points of all these runs."""
    votes, labels = [], []
    for folder in folders:
        idata = load_idata(folder.idata_path)
        probabilities = group(idata, "posterior_predictive")["y_prob"]
        votes.append(probabilities.mean(("chain", "draw")).values)
        labels.append(group(idata, "observed_data")["y"].values)
    name = f"{method} (committee)" if probabilities.sizes["draw"] > 1 else method
    name += f", {len(folders)} folds" if len(folders) > 1 else ""
    return name, (np.concatenate(votes), np.concatenate(labels))


def has_map(task: Task) -> bool:
    """Whether the task has two features and two classes, and so a map."""
    return task.kind == "classification" and task.n_classes == 2 and task.n_features == 2 and not task.spiking


def predictive_map(fitted: FittedRun) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the axis and P(class 1) on a grid of the unit square; for a committee the epistemic part too."""
    n = fitted.config.analysis.resolution
    axis = np.linspace(0, 1, n, dtype=np.float32)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    predictor = fitted.predictors[0]
    prediction = fitted.predict_scaled(grid, predictor=predictor)
    panels = {predictor: prediction.mean[:, 1].reshape(n, n)}
    if predictor == "committee":
        panels[EPISTEMIC] = mutual_information(prediction.draws).reshape(n, n)
    return axis, panels


def _titled(panels: Mapping[str, np.ndarray], fitted: FittedRun) -> dict[str, np.ndarray]:
    method = fitted.config.method
    return {method if name == "mode" else f"{method}: {name}": values for name, values in panels.items()}


def _draw_map(axis: np.ndarray, panels: Mapping[str, np.ndarray], task: Task) -> Plot:
    names = (f"class {task.classes[0]}", f"class {task.classes[1]}")
    epistemic = [title for title in panels if title.endswith(EPISTEMIC)]
    points, labels = task.train.x, task.train.y
    return plot_predictive_map(
        axis,
        axis,
        panels,
        points,
        labels,
        epistemic=epistemic,
        class_names=names,
        axis_names=("$x_1$ (rescaled)", "$x_2$ (rescaled)"),
    )


def _read_map(path: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Read a map back from the numbers behind its figure, rather than predict the grid once more."""
    with path.open() as file:
        names = file.readline().rstrip("\n").split(",")
    columns = np.loadtxt(path, delimiter=",", skiprows=1, unpack=True)
    axis = np.unique(columns[0])
    maps = {n: c.reshape(len(axis), len(axis)) for n, c in zip(names[2:], columns[2:], strict=True)}
    return axis, maps


def _draw_bands(runs: Mapping[str, FittedRun], task: Task) -> Plot:
    grid = curve_grid(task, n_points=200)
    predictors = {}
    for method, fitted in runs.items():
        prediction = fitted.predict_scaled(grid.x, predictor=fitted.predictors[0])
        assert prediction.noise_scale is not None
        predictors[method] = (prediction.draws, prediction.noise_scale)
    x, y = task.train.x[:, 0], task.train.y
    names = ("$x$ (rescaled)", "$y$ (rescaled)")
    return plot_regression_band(grid.x[:, 0], predictors, x, y, y_true=grid.truth, axis_names=names)


def _columns(history: History) -> dict[str, list[float]]:
    return {name: history.column(name) for name in history.columns}


class _Saver:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, name: str, plot: Plot) -> None:
        save_figure(plot.figure, self.folder, name, plot.table)
