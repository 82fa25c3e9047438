"""Selective prediction: what is gained where the least confident predictions may be withheld."""

from __future__ import annotations

from typing import Any

from bisnn_pyro.analysis import LEAST_KEPT, plot_risk_coverage, printed_table, selective_accuracy, top_label
from bisnn_pyro.experiments.report.blocks import Block, Section, Table, Text
from bisnn_pyro.experiments.report.lines import Material
from bisnn_pyro.experiments.report.pictures import drawn
from bisnn_pyro.experiments.selective import selective_scores

ABOUT = (
    "accuracy@c is that of the most confident share c of the test points. aurc is the area under the curve, "
    "and excess_aurc what a perfect order of the same errors would leave of it: 0 where no error is more "
    "confident than a right prediction."
)


def selective(material: Material) -> Section:
    """Return risk against coverage, by the top label's probability."""
    rows: list[dict[str, Any]] = []
    curves = {}
    for line in material.lines:
        for predictor in line.main:
            for seed in line.seeds:
                probs, y = line.votes(predictor, seed)
                scores = selective_scores(selective_accuracy(probs, y))
                rows.append({"method": line.name, "predictor": predictor, "seed": seed, **scores})
                if seed == line.seeds[0]:
                    top, correct = top_label(probs, y)
                    curves[line.label(predictor)] = (top, 1.0 - correct)
    blocks: list[Block] = [Text(f"{material.n_points} test points are too few for a curve.")]
    if material.n_points >= 2 * LEAST_KEPT:  # fewer are not drawn, and little of the curve would be left
        caption = "Share of errors among the points kept, most confident first; first training seed."
        blocks = [drawn(plot_risk_coverage(curves), caption)]
    blocks += [Table("Selective prediction, over seeds", printed_table(rows, digits=4)), Text(ABOUT)]
    return Section("selective", "Risk and coverage", blocks)
