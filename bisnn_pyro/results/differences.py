"""Paired differences between lines of runs on the same test points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bisnn_pyro.analysis import MISSING, PrintedTable, paired_bootstrap

LEVEL = 0.95
"""Coverage of all intervals."""

ENDS = ("", "_low", "_high")
"""What the names of columns end with: the mean, and the ends of its interval."""
Key = tuple[str, str]
"""A line's name and a predictor."""


def difference_table(
    points: Mapping[Key, Mapping[str, np.ndarray]],
    reference: Key,
    metrics: Sequence[str],
    *,
    n_resamples: int,
    seed: int,
) -> PrintedTable | None:
    """Return the reference's scores minus those of each other line, with bootstrap intervals over points.

    Args:
        points: scores of each seed and point ``[K, N]``, by line and metric (``mse`` for the RMSE).
        reference: the line that the others are subtracted from.
        metrics: scores to show; those that are not means over points are left out.
        n_resamples: bootstrap draws of the test points.
        seed: of the bootstrap.

    Returns:
        One line per other line; None if there is no other.
    """
    others = [line for line in points if line != reference]
    if not others:
        return None
    body = [[f"{' '.join(reference)} - {' '.join(line)}"] for line in others]
    numbers: list[dict[str, Any]] = [{"difference": cells[0]} for cells in body]
    shown = []
    for metric in metrics:
        stored = "mse" if metric == "rmse" else metric
        if stored not in points[reference]:
            continue  # a calibration error is not a mean over points
        shown.append(metric)
        arrays = {line: scores[stored] for line, scores in points.items()}
        found = paired_bootstrap(
            arrays, reference, root=metric == "rmse", level=LEVEL, n_resamples=n_resamples, seed=seed
        )
        for line, cells, row in zip(others, body, numbers, strict=True):
            interval = found[line]
            row["n_points"] = arrays[line].shape[1]
            values = interval.mean, interval.low, interval.high
            row |= {metric + end: None if np.isnan(v) else v for end, v in zip(ENDS, values, strict=True)}
            cells.append(interval_cell(interval.mean, interval.low, interval.high))
    note = (
        f"mean difference and {100 * LEVEL:g} % percentile bootstrap interval over the same "
        f"{numbers[0]['n_points']} test points ({n_resamples} resamples, seed {seed}), seeds averaged"
    )
    right = [False, *[True] * len(shown)]
    return PrintedTable(["difference", *shown], body, right, [note], numbers)


def interval_cell(mean: float, low: float, high: float) -> str:
    """Return ``mean [low, high]`` with four places; the mean alone where there is no interval."""
    if np.isnan(mean):
        return MISSING
    # + 0.0 turns a rounded -0.0 into 0.0
    cells = [f"{round(value, 4) + 0.0:.4f}" for value in (mean, low, high)]
    return cells[0] if np.isnan(low) else f"{cells[0]} [{cells[1]}, {cells[2]}]"
