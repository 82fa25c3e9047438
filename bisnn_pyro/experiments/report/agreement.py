"""Whether training seeds agree: by R-hat of their committees, and point by point."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from bisnn_pyro.analysis import compare_seeds, group, load_idata
from bisnn_pyro.experiments.report.blocks import Block, Caution, Section, Table, Text, plain_table, some
from bisnn_pyro.experiments.report.lines import Line, Material

FAR = 4.0
"""Standard errors between two seeds from which they disagree; by chance some pair of ten seeds would in
at most three reports of a thousand."""
R_HAT = 1.1

ABOUT = (
    "r_hat compares the members' mean log-likelihood between seeds with that within: near 1, another seed "
    "would have given another sample of the same committee; well above, one seed's committee is narrower "
    "than training as a whole. distance is the largest difference of two seeds in standard errors, paired "
    "on the test points."
)


def agreement(material: Material) -> Section | None:
    """Return how far seeds are apart; None where no method has several."""
    lines = [line for line in material.lines if len(line.seeds) > 1]
    if not lines:
        return None
    rows = [_row(line, material) for line in lines]
    blocks: list[Block] = [
        Table("How far training seeds are apart", plain_table(rows, digits=2)),
        Text(ABOUT),
    ]
    return Section("seeds", "Agreement of seeds", blocks, _cautions(rows))


def distance(scores: np.ndarray) -> float:
    """Return the largest difference between rows in standard errors of their paired difference.

    Args:
        scores: ``[K, N]``, a seed a row and a test point a column; infinite scores are left out with their
            point.

    Returns:
        0 where all rows are alike; NaN where fewer than two points are left.
    """
    finite = scores[:, np.isfinite(scores).all(0)]
    if finite.shape[1] < 2:
        return float("nan")
    return max(_standard_errors(a - b) for a, b in combinations(finite, 2))


def _standard_errors(difference: np.ndarray) -> float:
    spread = difference.std(ddof=1)
    if spread == 0:
        return 0.0 if difference[0] == 0 else float("inf")
    return float(abs(difference.mean()) / spread * np.sqrt(len(difference)))


def _row(line: Line, material: Material) -> dict[str, Any]:
    predictor = line.predictors[0]
    found = {
        f"distance {name}": distance(np.stack([_points(line, predictor, seed, name) for seed in line.seeds]))
        for name in (("mse", "nll") if material.regression else ("accuracy", "nll"))
    }
    return {"method": line.name, "predictor": predictor, "seeds": len(line.seeds), **_r_hat(line), **found}


def _points(line: Line, predictor: str, seed: int, name: str) -> np.ndarray:
    return np.concatenate([run.predictions.point_scores(predictor)[name] for run in line.of_seed(seed)])


def _r_hat(line: Line) -> dict[str, float | None]:
    """Return R-hat, none for folds: networks of other folds are no chains of one posterior."""
    if len(line.runs) > len(line.seeds):
        return {"r_hat": None}
    values = [
        group(load_idata(run.folder.idata_path), "posterior")["mean_log_likelihood"] for run in line.runs
    ]
    draws = [one.values[0] for one in values]
    if len({len(one) for one in draws}) > 1 or not np.isfinite(np.concatenate(draws)).all():
        return {"r_hat": None}
    return {"r_hat": compare_seeds(np.stack(draws)).r_hat}


def _cautions(rows: list[dict[str, Any]]) -> list[Caution]:
    items = []
    for row in rows:
        far = {key: value for key, value in row.items() if key.startswith("distance") and value > FAR}
        items += [
            f"{row['method']} {key.split()[1]}: {value:.1f} standard errors" for key, value in far.items()
        ]
    found = []
    if items:
        text = (
            "Two seeds of one method differ on the same test points by more than chance: look at the spread "
            "over seeds, not at one of them."
        )
        found.append(Caution("Seeds disagree", text, some(items)))
    spread = [
        f"{r['method']}: {r['r_hat']:.2f}" for r in rows if r["r_hat"] is not None and r["r_hat"] > R_HAT
    ]
    if spread:
        text = (
            "Members of different seeds differ by more than members of one seed (R-hat of their mean "
            "log-likelihood): a single committee leaves out uncertainty that other seeds show."
        )
        found.append(Caution("Committees of other seeds differ", text, some(spread)))
    return found
