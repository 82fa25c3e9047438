"""How the scores of a committee depend on its size."""

from __future__ import annotations

from typing import Any

import numpy as np

from bisnn_pyro.analysis import committee_size_scores, plot_committee_size
from bisnn_pyro.experiments.report.blocks import Block, Section, Table, plain_table
from bisnn_pyro.experiments.report.lines import Material
from bisnn_pyro.experiments.report.pictures import drawn


def committee(material: Material) -> Section | None:
    """Return scores against the number of members; None without a committee."""
    curves = {}
    for line in material.lines:
        if line.has_committee:
            draws, y = line.members(line.seeds[0])
            curves[line.name] = committee_size_scores(draws, y, n_bins=material.bins)
    if not curves:
        return None
    caption = (
        "NLL and ECE of committees of so many members, means over 20 random choices of them and the range of "
        "95 %; first training seed. Read it up to half of the largest size, beyond which choices overlap."
    )
    blocks: list[Block] = [
        drawn(plot_committee_size(curves), caption),
        Table("Scores by number of members", plain_table(_rows(curves)), folded=True),
    ]
    return Section("committee", "Size of the committee", blocks)


def _rows(curves: dict[str, dict[str, np.ndarray]]) -> list[dict[str, Any]]:
    return [
        {"method": name, **{column: values[i].item() for column, values in columns.items()}}
        for name, columns in curves.items()
        for i in range(len(columns["size"]))
    ]
