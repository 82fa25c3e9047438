"""Pictures that the runs drew themselves: predictive maps and bands, decisions before the end."""

from __future__ import annotations

from bisnn_pyro.experiments.report.blocks import Block, Section
from bisnn_pyro.experiments.report.lines import Material
from bisnn_pyro.experiments.report.pictures import stored

PICTURES = {
    "predictive": "its predictions over the inputs",
    "early_decisions": "its scores when it decides before the end of the sequence",
    "early_stopping": "its scores when it stops once it is sure",
}


def maps(material: Material) -> Section | None:
    """Return the pictures of each method's first run; None where there are none."""
    blocks: list[Block] = []
    for line in material.lines:
        for name, what in PICTURES.items():
            path = line.first.folder.figures / f"{name}.png"
            if path.is_file():
                blocks.append(stored(path, f"{line.run_name(line.first)}: {what}."))
    return Section("predictions", "Predictions", blocks) if blocks else None
