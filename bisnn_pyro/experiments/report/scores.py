"""The table of scores, and differences on the same test points, as ``bisnn compare`` gives them."""

from __future__ import annotations

from bisnn_pyro.experiments.compare import Comparison
from bisnn_pyro.experiments.report.blocks import Block, Section, Table, Text, without
from bisnn_pyro.experiments.report.lines import Material


def scores(material: Material, comparison: Comparison) -> Section:
    """Return both tables of a comparison."""
    over = "folds" if material.folds else "seeds"
    blocks: list[Block] = [
        Table(f"Scores on the test points, over {over}", without(comparison.scores, "experiment"))
    ]
    if comparison.differences is None:
        blocks.append(Text("There is one predictor alone, and no difference to take."))
    else:
        blocks.append(Table("Paired differences", comparison.differences))
        blocks.append(
            Text(
                "A difference below 0 is in favour of the first for errors (NLL, Brier, RMSE) and of the "
                "second for the accuracy. Its interval is over test points with the trained networks held "
                "fixed; that of the scores above is over training."
            )
        )
    return Section("scores", "Scores", blocks)
