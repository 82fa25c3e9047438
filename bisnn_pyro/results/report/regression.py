"""Regressions: how often intervals hold the target, and what the predictive variance is made of."""

from __future__ import annotations

from typing import Any

import numpy as np

from bisnn_pyro.analysis import mixture_cdf, printed_table, wilson_interval
from bisnn_pyro.experiments.report.blocks import Block, Caution, Section, Table, Text, plain_table, some
from bisnn_pyro.experiments.report.lines import Line, Material

LEVELS = (0.5, 0.8, 0.9, 0.95)

ABOUT = (
    "A central interval of the predictive distribution should hold the target as often as its level says; "
    "low and high are the 95 % Wilson interval of the share, over test points. noise is the standard "
    "deviation that the model gives the targets, spread that of the members' means (root mean square over "
    "points), error the root mean square error."
)


def regression(material: Material) -> Section:
    """Return coverage of the first predictor's intervals, and the two parts of its variance."""
    covered = [row for line, seed in material.each_seed() for row in _coverage(line, seed)]
    parts = [_parts(line, seed) for line, seed in material.each_seed()]
    blocks: list[Block] = [
        Table("Coverage of central predictive intervals, each seed", plain_table(covered)),
        Table("What the predictive variance is made of, over seeds", printed_table(parts, digits=4)),
        Text(ABOUT),
    ]
    return Section("coverage", "Coverage", blocks, _cautions(covered))


def _predictions(line: Line, seed: int) -> list[tuple[np.ndarray, float, np.ndarray]]:
    """Return members' means ``[S, N]``, noise and targets of each fold of a seed."""
    found = []
    for run in line.of_seed(seed):
        stored = run.predictions
        assert stored.noise_scale is not None
        found.append((stored.votes[line.predictors[0]].astype(np.float64), stored.noise_scale, stored.y))
    return found


def _coverage(line: Line, seed: int) -> list[dict[str, Any]]:
    ranks = np.concatenate(
        [mixture_cdf(y.astype(np.float64), means, noise) for means, noise, y in _predictions(line, seed)]
    )
    rows = []
    for level in LEVELS:
        inside = int((np.abs(2 * ranks - 1) <= level).sum())
        low, high = wilson_interval(inside, len(ranks))
        row = {"method": line.name, "predictor": line.predictors[0], "seed": seed, "level": f"{level:g}"}
        rows.append({**row, "covered": inside / len(ranks), "low": float(low), "high": float(high)})
    return rows


def _parts(line: Line, seed: int) -> dict[str, Any]:
    found = _predictions(line, seed)
    error = np.concatenate([means.mean(0) - y for means, _, y in found])
    spread = np.concatenate([means.var(0) for means, _, _ in found])
    noise = np.concatenate([np.full(len(y), scale**2) for _, scale, y in found])
    return {
        "method": line.name,
        "predictor": line.predictors[0],
        "seed": seed,
        "noise": float(np.sqrt(noise.mean())),
        "spread": float(np.sqrt(spread.mean())),
        "error": float(np.sqrt((error**2).mean())),
    }


def _cautions(rows: list[dict[str, Any]]) -> list[Caution]:
    off = [
        f"{row['method']} seed {row['seed']}: {100 * float(row['level']):g} % intervals hold "
        f"{100 * row['covered']:.0f} % of the targets"
        for row in rows
        if row["level"] == "0.9" and not row["low"] <= 0.9 <= row["high"]
    ]
    if not off:
        return []
    text = "Intervals that hold fewer targets than they say are too narrow, those that hold more too wide."
    return [Caution("Predictive intervals are off", text, some(off))]
