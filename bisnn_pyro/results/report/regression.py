"""Regressions: how often predictive intervals cover the target, and the parts of the predictive variance."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bisnn_pyro.analysis import mixture_cdf, printed_table, wilson_interval
from bisnn_pyro.results.report.blocks import Block, Section, Table, Text, caution_if, plain_table
from bisnn_pyro.results.runs import Runs

LEVELS = (0.5, 0.8, 0.9, 0.95)
CHECKED = 0.9
"""The level whose coverage gives rise to a caution."""

ABOUT = (
    "A central interval of the predictive distribution should cover the target as often as its level says; "
    "low and high are the 95 % Wilson interval of that share, over test points. noise is the standard "
    "deviation that the model gives the targets, spread the standard deviation of the members' means (root "
    "mean square over points), and error the root mean square error."
)


def regression(runs: Runs) -> Section:
    """Return the coverage of the first predictor's intervals, and both parts of its variance."""
    covered: list[dict[str, Any]] = []
    parts: list[dict[str, Any]] = []
    for line in runs.lines:
        for seed in line.seeds:
            names = {"method": line.name, "predictor": line.predictors[0], "seed": seed}
            stores = [run.store for run in line.of_seed(seed)]
            noise = np.concatenate([np.full(len(store.targets), store.noise_scale) for store in stores])
            means, y = line.votes(line.predictors[0], seed)
            ranks = mixture_cdf(y.astype(np.float64), means, np.broadcast_to(noise, means.shape))
            for level in LEVELS:
                inside = int((np.abs(2 * ranks - 1) <= level).sum())
                low, high = map(float, wilson_interval(inside, len(y)))
                share = {"level": f"{level:g}", "covered": inside / len(y), "low": low, "high": high}
                covered.append(names | share)
            squares = {"noise": noise**2, "spread": means.var(0), "error": (means.mean(0) - y) ** 2}
            parts.append(names | {name: float(np.sqrt(square.mean())) for name, square in squares.items()})
    blocks: list[Block] = [
        Table("Coverage of central predictive intervals, each seed", plain_table(covered)),
        Table("Parts of the predictive variance, over seeds", printed_table(pd.DataFrame(parts), digits=4)),
        Text(ABOUT),
    ]
    off = [
        f"{row['method']} seed {row['seed']}: {100 * CHECKED:g} % intervals cover {100 * row['covered']:.0f} "
        "% of the targets"
        for row in covered
        if row["level"] == f"{CHECKED:g}" and not row["low"] <= CHECKED <= row["high"]
    ]
    text = (
        "Intervals that cover fewer targets than their level are too narrow, those that cover more too wide."
    )
    return Section("coverage", "Coverage", blocks, caution_if(off, "Predictive intervals are off", text))
