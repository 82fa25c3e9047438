"""The posterior of binary synapses, layer by layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from bisnn_pyro.analysis import LayerPosterior, plot_posterior_bars, printed_table
from bisnn_pyro.errors import InputError
from bisnn_pyro.experiments.fitted import FittedRun, load_run
from bisnn_pyro.experiments.posterior import DIGITS, layer_posteriors
from bisnn_pyro.experiments.report.blocks import Block, Caution, Section, Table, Text, some
from bisnn_pyro.experiments.report.lines import Line, Material
from bisnn_pyro.experiments.report.pictures import drawn

SATURATED = 0.01
"""Share of a layer's synapses from which their saturation is worth a word."""

ABOUT = (
    "A synapse is undecided while both signs have a probability of at least 1/4. mean_size is the mean "
    "|tanh| of the natural parameter: 0 for coins, 1 for fixed signs. kl_per_synapse (nats) is at most 0.69 "
    "under a fair prior, where every sign is fixed. saturated is the share whose tanh single precision "
    "rounds to a whole sign."
)


def posteriors(material: Material) -> Section | None:
    """Return undecided share and KL of each layer; None where no posterior is one of signs."""
    rows: list[dict[str, Any]] = []
    first: dict[str, dict[str, LayerPosterior]] = {}
    reasons: dict[str, str] = {}
    cautions: list[str] = []
    for line in material.lines:
        try:
            own, summary = _rows(line)
        except InputError as error:
            reasons[line.name] = str(error)
            continue
        rows += [{"method": line.name, **row} for row in own]
        first[line.name] = summary
        cautions += _saturated(own)
    if not rows:
        return None
    caption = "KL to the prior and share of undecided synapses of each layer; each method's first run."
    blocks: list[Block] = [drawn(plot_posterior_bars(first), caption)]
    over = "folds and seeds" if material.folds else "seeds"
    kept = [{k: v for k, v in row.items() if k != "run"} for row in rows]
    blocks.append(Table(f"Posterior of each layer, over {over}", printed_table(kept, digits=DIGITS)))
    blocks.append(Text(ABOUT))
    blocks += [Text(f"{name} is not shown: {reason}.") for name, reason in reasons.items()]
    text = (
        "The signs of these synapses are certain as far as single precision goes, and what the data say "
        "about them is lost in rounding. A smaller learning rate or more weight on the KL keeps them off "
        "it."
    )
    caution = Caution("Saturated natural parameters", text, some(cautions))
    return Section("posterior", "Posterior", blocks, [caution] if cautions else [])


def saturated_share(natural: np.ndarray) -> float:
    """Return the share of natural parameters whose tanh is a whole sign in single precision."""
    return float((np.abs(np.tanh(np.asarray(natural, dtype=np.float32))) == 1).mean())


def _rows(line: Line) -> tuple[list[dict[str, Any]], dict[str, LayerPosterior]]:
    """Return a row a run and layer, and the layers of the first run."""
    rows, summaries = [], []
    for number, run in enumerate(line.runs):
        fitted = load_run(run.folder.path)
        found = layer_posteriors(fitted)
        shares = _shares(fitted)
        summaries.append(found)
        for name, layer in found.items():
            # Each run is a repetition of its own: a fold of a seed as well.
            row = {"layer": name, "seed": number, "run": line.run_name(run), **layer.row()}
            rows.append({**row, "saturated": shares[name]})
    return rows, summaries[0]


def _shares(fitted: FittedRun) -> dict[str, float]:
    natural = fitted.guide.natural_parameters()
    return {name: saturated_share(values.cpu().numpy()) for name, values in natural.items()}


def _saturated(rows: list[dict[str, Any]]) -> list[str]:
    return [
        f"{row['run']} {row['layer']}: {100 * row['saturated']:.1f}\N{NO-BREAK SPACE}%"
        for row in rows
        if row["saturated"] > SATURATED
    ]
