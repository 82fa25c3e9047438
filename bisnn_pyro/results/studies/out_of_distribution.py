"""Whether finished runs tell their test points from out-of-distribution inputs."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bisnn_pyro.analysis import (
    PrintedTable,
    detection_scores,
    mutual_information,
    plot_roc,
    predictive_entropy,
    vote_variance,
)
from bisnn_pyro.data import ChangedRows, Task, noise_like, rotate, shuffle_pixels, upside_down
from bisnn_pyro.data.checks import check_choice
from bisnn_pyro.data.shifts import Change
from bisnn_pyro.errors import ConfigError, DataError
from bisnn_pyro.experiments.build import build_task
from bisnn_pyro.experiments.config import Config
from bisnn_pyro.experiments.parts import PARTS, keys, make
from bisnn_pyro.inference import Prediction
from bisnn_pyro.results.differences import interval_cell
from bisnn_pyro.results.finished import Paths
from bisnn_pyro.results.runs import Runs
from bisnn_pyro.results.studies.study import (
    Folder,
    Plots,
    Study,
    check_out,
    finish,
    main_lines,
    opened,
    study_runs,
)

METRICS = ("auroc", "aupr_out", "aupr_in", "fpr95")
DRAWN = ("entropy", "information")
"""Uncertainties with a ROC curve."""
COPIED = ("time_step", "n_steps", "start", "crop", "downsample", "polarity", "n_test")
"""Keys of ``[data]`` that another data set takes over: how events become spikes, and how many points."""
UNSEEN = "unseen-classes"
POINTS = "95 % percentile bootstrap interval over points"

Source = Callable[[Task], Any]
"""Makes of a run's task the scaled out-of-distribution inputs ``[M, ...]`` of its shape."""


def out_of_distribution_study(
    runs: Runs | Paths,
    against: str,
    *,
    out: Folder = None,
    seed: int = 0,
    n_resamples: int = 1000,
    data_dir: Folder = None,
    trust: bool = False,
) -> Study:
    """Score how well each predictor's uncertainty tells the test points from out-of-distribution inputs.

    The uncertainties, all higher for less familiar inputs: ``probability`` (of the top label, negated) and
    ``entropy`` of the vote; for a committee also ``information`` (mutual information of prediction and
    weights) and ``variance`` (of the members' votes for the top label).

    *Says* how well these two sets are told apart, which is easy for noise and hard for similar data; it says
    nothing about other inputs.  AUPR depends on how many points there are on either side.

    Args:
        runs: the runs, or their folders.
        against: the out-of-distribution inputs, see ``source_of``.
        out: folder for ``out-of-distribution-<name>.csv``, the table, ``...-runs.csv`` with the bootstrap
            interval of every run, and the ROC curves of each method's first run.
        seed: of inputs that are drawn at random, and of the bootstrap.
        n_resamples: bootstrap draws of the points on both sides.
        data_dir: where the runs' data are now, instead of the configs' ``data.path``.
        trust: whether classes of a user's own that a config names may be imported.

    Returns:
        AUROC, AUPR of either side and FPR95 (out-of-distribution counts as positive), over seeds; in
        ``frame`` each run's own, with ``_low`` and ``_high``, the 95 % bootstrap interval over points.

    Raises:
        InputError: if the runs cannot be read or compared, there are no such inputs, or they do not suit
            these networks.
    """
    folder = check_out(out)
    if n_resamples < 1:
        raise ConfigError("--n-boot must be at least 1")
    found = study_runs(runs, seed=seed, trust=trust)
    name, source = source_of(against, found[0].config, seed, data_dir)
    rows, scored = [], []
    for run in found:
        with opened(run, data_dir, f"--against {name}") as (fitted, task):
            other = source(task)
            inside, outer = (fitted.votes(fitted.encode(x)) for x in (task.test.x, other))
        for predictor, vote in inside.items():
            far = uncertainties(outer[predictor])
            for score, near in uncertainties(vote).items():
                scores = detection_scores(near, far[score], n_resamples=n_resamples, seed=seed)
                flat = {m + end: getattr(v, part) for m, v in scores.items() for end, part in ENDS.items()}
                rows.append(run.row(predictor, score=score, **flat))
                scored.append((near, far[score]))
    n_near, n_far = map(len, scored[0])
    note = f"{n_near} test points against {n_far} of {name}; seed {seed}"

    def roc(frame: pd.DataFrame) -> Plots:
        first: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        for line, own in main_lines(frame).items():
            for index, score in own["score"].items():
                if score in DRAWN:
                    first.setdefault(f"{line}: {score}", scored[index])
        return {"roc": plot_roc(first)}

    title = f"out-of-distribution-{name}"
    return finish(found, title, rows, METRICS, folder, notes=[note], plots=roc, change=_with_bootstrap)


ENDS = {"": "mean", "_low": "low", "_high": "high"}


def uncertainties(prediction: Prediction) -> dict[str, np.ndarray]:
    """Return each uncertainty ``[N]`` of a prediction, higher for less familiar inputs.

    ``probability`` is that of all classes but the top one: 1 minus the top one would round to ties at 0 where
    a network is sure.
    """
    others = prediction.mean.copy()
    np.put_along_axis(others, others.argmax(-1)[:, None], 0.0, axis=-1)
    scores = {"probability": others.sum(-1), "entropy": predictive_entropy(prediction.draws)}
    if len(prediction.draws) > 1:
        draws = prediction.draws
        scores |= {"information": mutual_information(draws), "variance": vote_variance(draws)}
    return scores


def _with_bootstrap(table: PrintedTable, frame: pd.DataFrame) -> PrintedTable:
    """Show the bootstrap intervals where each line is one run, which has no interval over seeds."""
    if len(frame) != len(table.body):
        return table
    cells = [[interval_cell(*(row[m + end] for end in ENDS)) for m in METRICS] for _, row in frame.iterrows()]
    body = [[*line[: -len(METRICS)], *own] for line, own in zip(table.body, cells, strict=True)]
    return replace(table, body=body, notes=[f"[{POINTS}]: of this network, not over seeds", *table.notes])


def source_of(against: str, config: Config, seed: int = 0, data_dir: Folder = None) -> tuple[str, Source]:
    """Return the name and the source of out-of-distribution inputs.

    Args:
        against: ``noise`` (uniform features, or each recording's spikes scattered over its bins), ``rotated``
            (test points by 90 degrees), ``shuffled`` (their pixels in one other order), ``upside-down``;
            ``unseen-classes``, the test points of the classes that ``data.classes`` leaves out; or a data
            set by name, whose test points are used, with ``NAME:path`` for files in another folder.
        config: of the run; another set of events is binned as the run's own.
        seed: of ``noise`` and ``shuffled``.
        data_dir: where the run's own data are, for ``unseen-classes``.

    Raises:
        DataError: if there is no such source, or its data cannot be read.
    """
    name, _, path = against.partition(":")
    check_choice("--against", name, [*MADE, UNSEEN, *PARTS["data"]])
    if path and name in (*MADE, UNSEEN):
        raise DataError(f"--against {against}: {name} is made from the run's own data and takes no path")
    if name in MADE:
        return name, lambda task: MADE[name](task, seed)
    if name == UNSEEN:
        unseen = _unseen(config if data_dir is None else config.replace("data.path", str(data_dir)))
        return name, lambda _: unseen
    if name == config.data.name and not path:
        raise DataError(
            f"--against {name} is what the runs were tested on; use {UNSEEN} for the classes that "
            f"data.classes leaves out, or {name}:path for files in another folder"
        )
    known = keys("data", name)
    if path and "path" not in known:
        raise DataError(f"--against {against}: {name} reads no files and takes no path")
    own = {} if not path else {"path": str(Path(os.path.expanduser(path)).absolute())}
    like = {key: value for key, value in config.data_settings.items() if key in COPIED and key in known}
    other = make("data", {"name": name, **like, **own})
    return name, lambda task: rescaled(other, task)


def rescaled(other: Task, task: Task) -> Any:
    """Return another set's test inputs as the run would have scaled them.

    Raises:
        DataError: if they are not of the shape that its network takes.
    """
    x = other.test.x
    if other.spiking != task.spiking or x.shape[1:] != task.test.x.shape[1:]:
        kinds = ["spikes [T, I]" if t.spiking else "features [F]" for t in (other, task)]
        raise DataError(
            f"{other.name} has {kinds[0]} of shape {list(x.shape[1:])}; the runs take {kinds[1]} of shape "
            f"{list(task.test.x.shape[1:])}"
        )
    ours, theirs = task.scaler, other.scaler
    if task.spiking or (ours is None and theirs is None):
        return x
    if ours is not None and theirs is not None and ours == theirs:
        return x
    raw = x if theirs is None else x * (theirs.high - theirs.low) + theirs.low
    return np.clip(raw, 0, 1).astype(np.float32) if ours is None else ours.transform(raw)


def _unseen(config: Config) -> Any:
    """Return the test points of the classes that a run leaves out, scaled as its own."""
    seen = config.data.to_dict().get("classes")
    if seen is None:
        raise DataError(
            f"--against {UNSEEN}: {config.experiment} knows all classes of {config.data.name}; leave some "
            "out, as in bisnn run digits --set 'data.classes=[0,1,2,3,4,5,6,7]'"
        )
    # All training points, since a class without any is refused; only the test points are needed.
    whole = build_task(
        config.replace("data.classes", None).replace("data.n_train", None).replace("train.share", None)
    )
    assert whole.labels is not None  # only tasks with classes to leave out get here
    unseen = ~np.isin(whole.labels.decode(whole.test.y), seen)
    if not unseen.any():
        raise DataError(f"--against {UNSEEN}: data.classes of {config.experiment} leaves no class out")
    return whole.test.x[unseen]


def _changed(task: Task, change: Change) -> ChangedRows:
    change(task.test.x[:1], np.arange(1))  # refused here, before the points are read
    return ChangedRows(task.test.x, change)


MADE: dict[str, Callable[[Task, int], Any]] = {
    "noise": lambda task, seed: _changed(task, lambda x, numbers: noise_like(x, numbers, seed)),
    "rotated": lambda task, _: _changed(task, lambda x, _n: rotate(x, 90, task.image_shape)),
    "shuffled": lambda task, seed: _changed(task, lambda x, _n: shuffle_pixels(x, seed, task.image_shape)),
    "upside-down": lambda task, _: _changed(task, lambda x, _n: upside_down(x, task.image_shape)),
}
"""Inputs that are made from the test points."""
