"""Ensembles of finished runs: the stored votes of several trainings pooled, without training anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bisnn_pyro.analysis import (
    MISSING,
    Plot,
    PrintedTable,
    classification_metrics,
    ensemble_equivalent,
    ensemble_mean,
    plot_committee_size,
    save_columns,
    save_figure,
    seed_sets,
)
from bisnn_pyro.errors import ConfigError, DataError
from bisnn_pyro.experiments.predictors import base_name
from bisnn_pyro.results.differences import ENDS, LEVEL, interval_cell
from bisnn_pyro.results.finished import Paths
from bisnn_pyro.results.runs import Line, Runs
from bisnn_pyro.results.studies.study import Folder, Study, check_out, study_runs

SIZES = (1, 2, 3, 5, 10, 20)
"""Trainings of an ensemble, as far as there are seeds."""
METRICS = ("accuracy", "nll", "ece")
BASELINE = "straight-through"
KEYS = ["method", "predictor", "trainings"]


def ensembles_study(
    runs: Runs | Paths,
    *,
    sizes: Sequence[int] = SIZES,
    baseline: str = BASELINE,
    out: Folder = None,
    trust: bool = False,
) -> Study:
    """Score ensembles of M finished runs of a method: the mean of their stored votes on the test points.

    Ensembles are all sets of M seeds, or 300 chosen at random where there are more; their scores share
    seeds, so that intervals are by the jackknife over seeds (:func:`bisnn_pyro.analysis.ensemble_mean`), and
    the ensemble of all seeds has none.  The column ``equivalent`` is the number of networks of the baseline
    whose ensemble has the same NLL (:func:`bisnn_pyro.analysis.ensemble_equivalent`).

    *Says nothing* of ensembles at a temperature: votes on validation points are not stored, and predictors
    with a temperature are left out.

    Args:
        runs: the runs, or their folders; every method with the same seeds, two at least, and no folds.
        sizes: numbers of trainings M; those above the number of seeds are left out.
        baseline: the method whose single networks (its first predictor) are counted; without its runs there
            are no equivalents.
        out: folder for ``ensembles.csv``, the table, ``ensembles-runs.csv``, the scores of every ensemble,
            and a figure of those of each method's first predictor.
        trust: whether classes of a user's own that a config names may be imported.

    Raises:
        InputError: if the runs cannot be read or compared, have folds, or not the same
            two seeds or more.
    """
    folder = check_out(out)
    found = study_runs(runs, trust=trust)
    seeds = found.lines[0].seeds
    if found[0].fold is not None or len(seeds) < 2 or any(line.seeds != seeds for line in found.lines):
        raise ConfigError(
            "an ensemble pools runs of one test set: give at least two seeds, the same for every method, "
            "and no folds"
        )
    chosen = sorted({m for m in sizes if 1 <= m <= len(seeds)} | {1})
    frame = pd.DataFrame([row for line in found.lines for row in _rows(line, chosen)])
    lines = _lines(frame, found, baseline)
    table = _printed(lines, found, baseline)
    if folder is None:
        return Study(table, frame)
    files = [table.write(folder / "ensembles.csv"), folder / "ensembles-runs.csv"]
    save_columns(files[-1], {str(column): list(frame[column]) for column in frame})
    plot = _plot(lines, found)
    files += save_figure(plot.figure, folder, "ensembles-scores", plot.table).values()
    return Study(table, frame, tuple(files))


def _rows(line: Line, sizes: Sequence[int]) -> list[dict[str, Any]]:
    """Return the scores of every ensemble of a line, by predictor and set of seeds."""
    rows = []
    for predictor in (name for name in line.predictors if name == base_name(name)):
        votes, bins = line.dataset(predictor), line.first.config.analysis.bins
        by_seed = dict(zip(line.seeds, votes["probability"].values, strict=True))
        record = line.first.metrics
        networks, bits = (record.get(key, {}).get(predictor) for key in ("networks", "weight_bits"))
        for m in sizes:
            for members in seed_sets(line.seeds, m):
                pooled = np.mean([by_seed[seed] for seed in members], axis=0)
                scores = classification_metrics(pooled, votes["target"].values, bins)
                rows.append(
                    {
                        "method": line.name,
                        "predictor": predictor,
                        "trainings": m * line.first.trainings,
                        "networks": None if networks is None else m * networks,
                        "weight_bits": None if bits is None else m * bits,
                        "seeds": " ".join(map(str, members)),
                        **{name: scores[name] for name in METRICS},
                    }
                )
    return rows


def _scores(own: pd.DataFrame, metric: str) -> dict[tuple[int, ...], float]:
    """Return a score by set of seeds."""
    sets = [tuple(map(int, text.split())) for text in own["seeds"]]
    return dict(zip(sets, own[metric].astype(float), strict=True))


def _lines(frame: pd.DataFrame, runs: Runs, baseline: str) -> list[dict[str, Any]]:
    """Return one line per method, predictor and number of trainings, with the ends of all intervals."""
    name, predictor = next(
        ((line.name, line.predictors[0]) for line in runs.lines if line.first.method == baseline), ("", "")
    )
    nets = _scores(frame[(frame["method"] == name) & (frame["predictor"] == predictor)], "nll")
    lines = []
    for key, own in frame.groupby(KEYS, sort=False):
        line = dict(zip(KEYS, key, strict=True)) | {"networks": own["networks"].iloc[0]}
        line |= {"weight_bits": own["weight_bits"].iloc[0], "n_ensembles": len(own)}
        for metric in METRICS:
            mean = ensemble_mean(_scores(own, metric))
            low, high = mean.interval(LEVEL)
            line |= {metric: mean.mean, f"{metric}_low": low, f"{metric}_high": high}
        try:
            counted = None if key[:2] == (name, predictor) else ensemble_equivalent(_scores(own, "nll"), nets)
        except DataError:  # no baseline, a single size, or a network with an infinite NLL
            counted = None
        values = (None, None, None) if counted is None else (counted.size, counted.low, counted.high)
        line |= dict(zip(("equivalent", "equivalent_low", "equivalent_high"), values, strict=True))
        lines.append(line | {"cell": "" if counted is None else str(counted)})
    return lines


def _printed(lines: Sequence[dict[str, Any]], runs: Runs, baseline: str) -> PrintedTable:
    header = [*KEYS, "networks", "weight_bits", "n_ensembles", *METRICS, "equivalent"]
    body = [
        [
            *(MISSING if pd.isna(line[key]) else str(line[key]) for key in header[:6]),
            *(interval_cell(line[m], line[f"{m}_low"], line[f"{m}_high"]) for m in METRICS),
            line.pop("cell"),
        ]
        for line in lines
    ]
    notes = [
        f"mean over ensembles and {100 * LEVEL:g} % interval by the jackknife over "
        f"{len(runs.lines[0].seeds)} seeds (none for the ensemble of all), on {runs.n_points} test points",
        "votes are pooled as probabilities, without a temperature: those on validation points are not stored",
        f"equivalent: networks of {baseline} whose ensemble has the same NLL, with its interval; empty for "
        "these themselves, and where an NLL is infinite or there are no such runs",
    ]
    return PrintedTable(header, body, [False, False, *[True] * 7, False], notes, lines)


def _plot(lines: Sequence[Mapping[str, Any]], runs: Runs) -> Plot:
    """Draw the scores of the first predictor of each method by the number of trainings."""
    columns = [metric + end for metric in METRICS for end in ENDS]
    firsts = {(line.name, line.predictors[0]) for line in runs.lines}
    curves = {
        f"{method} ({predictor})": {"size": own["trainings"], **{name: own[name] for name in columns}}
        for (method, predictor), own in pd.DataFrame(lines).groupby(KEYS[:2], sort=False)
        if (method, predictor) in firsts
    }
    plot = plot_committee_size(curves, METRICS)
    for ax in plot.axes:
        ax.set_xlabel(f"trainings pooled (of {len(runs.lines[0].seeds)} seeds)")
    plot.axes[0].set_ylabel(f"accuracy (n = {runs.n_points})")
    return plot
