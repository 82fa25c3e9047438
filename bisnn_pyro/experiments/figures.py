"""The figures of runs, drawn from their stores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bisnn_pyro.analysis import (
    Plot,
    early_scores,
    early_stopping,
    plot_early_decisions,
    plot_early_stopping,
    plot_predictive_map,
    plot_regression_band,
    plot_reliability,
    plot_training_curves,
    save_columns,
    save_figure,
)
from bisnn_pyro.experiments.folder import RunFolder
from bisnn_pyro.experiments.predictors import legend
from bisnn_pyro.experiments.store import Store

SCORES, STOPPING = "early_decisions", "early_stopping"
"""Names of the files on early decisions, without suffix."""


def draw_run_figures(folder: RunFolder) -> None:
    """Draw the figures of one run, each with its numbers; without figures, write some numbers alone.

    These are the scores of early decisions, which stand nowhere else in the folder.
    """
    config, store = folder.read_config(), Store.open(folder)
    bins = config.analysis.bins
    plots: dict[str, Plot] = {}
    if store.early_steps:
        votes = {name: store.early(name) for name in store.early_predictors}
        scores = {name: early_scores(v, n_bins=bins, **early_settings(store)) for name, v in votes.items()}
        curves = {name: early_stopping(v, **early_settings(store)) for name, v in votes.items()}
        plots = {SCORES: plot_early_decisions(scores), STOPPING: plot_early_stopping(curves)}
    if not config.analysis.figures:
        for name, plot in plots.items():
            save_columns(folder.figures / f"{name}.csv", plot.table)
        return
    plots["training"] = plot_training_curves({config.method: store.history})
    if store.noise_scale is None:
        pairs = {name: (store.votes(name), store.targets) for name in store.predictors}
        plots["reliability"] = plot_reliability(pairs, bins)
    predictive = predictive_plot({config.method: store})
    if predictive is not None:
        plots["predictive"] = predictive
    for name, plot in plots.items():
        save_figure(plot.figure, folder.figures, name, plot.table)


def early_settings(store: Store) -> dict[str, Any]:
    """Return what scores over elapsed time need besides the votes."""
    return {
        "labels": store.targets,
        "steps": store.early_steps,
        "n_steps": store.n_steps,
        "step_ms": store.step_ms,
    }


def predictive_plot(stores: Mapping[str, Store]) -> Plot | None:
    """Return the maps, or the bands, of the first predictors of runs on the same data.

    Args:
        stores: title (the method) -> store.

    Returns:
        None where the inputs have more than two features.
    """
    first = next(iter(stores.values()))
    grid = first.grid()
    if grid is None:
        return None
    (x, y), points = first.training_points, grid["x"].values
    if first.noise_scale is not None:
        bands = {title: (store.grid_votes(), store.noise_scale or 0.0) for title, store in stores.items()}
        names = ("$x$ (rescaled)", "$y$ (rescaled)")
        truth = grid["truth"].values if "truth" in grid.coords else None
        return plot_regression_band(points[:, 0], bands, x[:, 0], y, y_true=truth, axis_names=names)
    axis = np.unique(points[:, 0])
    panels: dict[str, np.ndarray] = {}
    epistemic = []
    for title, store in stores.items():
        predictor, own = store.predictors[0], store.grid()
        panels[legend(title, predictor)] = store.grid_votes()[:, 1]
        if own is not None and "mutual_information" in own:
            epistemic.append(f"{title} (epistemic)")
            panels[epistemic[-1]] = own["mutual_information"].sel(predictor=predictor).values
    zero, one = first.class_names
    return plot_predictive_map(
        axis,
        axis,
        {name: values.reshape(len(axis), len(axis)) for name, values in panels.items()},
        x,
        y,
        epistemic=epistemic,
        class_names=(f"class {zero}", f"class {one}"),
        axis_names=("$x_1$ (rescaled)", "$x_2$ (rescaled)"),
    )
