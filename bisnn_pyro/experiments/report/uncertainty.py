"""What a committee's uncertainty is made of: of the members themselves, and of their disagreement."""

from __future__ import annotations

from typing import Any

import numpy as np

from bisnn_pyro.analysis import (
    auroc,
    disagreement,
    expected_entropy,
    mutual_information,
    plot_entropy_split,
    predictive_entropy,
    printed_table,
    vote_variance,
)
from bisnn_pyro.experiments.report.blocks import Block, Section, Table, Text
from bisnn_pyro.experiments.report.lines import Line, Material
from bisnn_pyro.experiments.report.pictures import drawn

MEASURES = {
    "predictive_entropy": predictive_entropy,
    "expected_entropy": expected_entropy,
    "mutual_information": mutual_information,
    "vote_variance": vote_variance,
    "disagreement": disagreement,
}

ABOUT = (
    "The entropy of the vote (predictive_entropy, nats) is the mean entropy of the members "
    "(expected_entropy) and the mutual information of prediction and weights, which is 0 where all members "
    "agree. vote_variance is that of the top class over members; disagreement the share of members with "
    "another top class. auroc_error says how often a wrong prediction has more of it than a right one: 0.5 "
    "is chance."
)


def uncertainty(material: Material) -> Section | None:
    """Return the decomposition of each committee; None where there is none."""
    committees = [line for line in material.lines if line.has_committee]
    if not committees:
        return None
    rows: list[dict[str, Any]] = []
    blocks: list[Block] = []
    for line in committees:
        for seed in line.seeds:
            draws, y = line.members(seed)
            rows += _rows(line, seed, draws, y)
            if seed == line.seeds[0]:
                caption = f"{line.name}, seed {seed}: what its {len(draws)} members are unsure of."
                blocks.append(drawn(plot_entropy_split(draws, y), caption))
    table = printed_table(rows, digits=4)
    blocks.append(Table("Uncertainty of right and of wrong predictions, over seeds", table))
    points = [line.name for line in material.lines if line not in committees]
    if points:
        blocks.append(Text(f"{', '.join(points)}: a single vote, which cannot be taken apart."))
    blocks.append(Text(ABOUT))
    return Section("uncertainty", "Uncertainty", blocks)


def _rows(line: Line, seed: int, draws: np.ndarray, y: np.ndarray) -> list[dict[str, Any]]:
    wrong = draws.mean(0).argmax(-1) != y
    rows = []
    for name, measure in MEASURES.items():
        values = measure(draws)
        both = wrong.any() and not wrong.all()
        rows.append(
            {
                "method": line.name,
                "measure": name,
                "seed": seed,
                "all": float(values.mean()),
                "right": float(values[~wrong].mean()) if not wrong.all() else None,
                "wrong": float(values[wrong].mean()) if wrong.any() else None,
                "auroc_error": auroc(values[~wrong], values[wrong]) if both else None,
            }
        )
    return rows
