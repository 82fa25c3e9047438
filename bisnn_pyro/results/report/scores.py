"""Scores and paired differences, the figures of the runs themselves, and the cost of an inference."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from bisnn_pyro.analysis import PrintedTable, plot_cost_bars
from bisnn_pyro.errors import InputError
from bisnn_pyro.results.comparison import Comparison
from bisnn_pyro.results.report.blocks import Block, Section, Table, Text, drawn, stored
from bisnn_pyro.results.runs import Runs
from bisnn_pyro.results.studies import energy_study

PICTURES = {
    "predictive": "its predictions over the input space",
    "early_decisions": "its scores if it decides before the end of the sequence",
    "early_stopping": "its scores if it stops as soon as it is sure",
}

ABOUT_DIFFERENCES = (
    "A negative difference is in favour of the first predictor for errors (NLL, Brier, RMSE), and in favour "
    "of the second for the accuracy. The note below the table says what its intervals are over: other "
    "trainings, other test points, or both. The intervals of the scores above are over training."
)
ABOUT_COSTS = (
    "The energies are computed, not measured: operations and accesses to weights, state and inputs, each at "
    "its price in 45 nm CMOS, without encoding, control, routing or leakage. The last lines of each method "
    "are the same network with 32-bit weights, and a network without spikes. Use bisnn energy for other "
    "prices."
)


def scores(runs: Runs, comparison: Comparison) -> Section:
    """Return both tables of a comparison."""
    blocks: list[Block] = [
        Table(
            f"Scores on the test points, over {runs.over}s", without_constant(comparison.scores, "experiment")
        )
    ]
    if comparison.differences is None:
        blocks.append(Text("There is only one predictor, so there are no differences."))
    else:
        blocks += [Table("Paired differences", comparison.differences), Text(ABOUT_DIFFERENCES)]
    return Section("scores", "Scores", blocks)


def without_constant(table: PrintedTable, column: str) -> PrintedTable:
    """Return the table without a column that says the same in every line; other columns stay."""
    place = list(table.header).index(column)
    if len({line[place] for line in table.body}) > 1:
        return table

    def kept(cells: Sequence[Any]) -> list[Any]:
        return [*cells[:place], *cells[place + 1 :]]

    return replace(
        table, header=kept(table.header), right=kept(table.right), body=list(map(kept, table.body))
    )


def pictures(runs: Runs) -> Section | None:
    """Return the stored figures of each method's first run; None without any."""
    blocks: list[Block] = []
    for line in runs.lines:
        for name, what in PICTURES.items():
            folder = line.first.folder
            if (folder.figures / f"{name}.png").is_file():
                path = folder.checked(f"figures/{name}.png")
                blocks.append(stored(path, f"{line.run_name(line.first)}: {what}."))
    return Section("predictions", "Predictions", blocks) if blocks else None


def costs(runs: Runs, data_dir: str | os.PathLike[str] | None = None) -> Section:
    """Return the costs of each method's first run, or why they could not be counted.

    The bits of the weights and the spikes are in the table of scores.
    """
    tables: dict[str, PrintedTable] = {}
    bars: dict[str, dict[str, Any]] = {}
    reasons: list[Block] = []
    for line in runs.lines:
        try:
            table = energy_study([line.first.folder], data_dir=data_dir).table
        except (InputError, OSError) as error:
            reasons.append(Text(f"{line.name} was not counted: {error}"))
            continue
        # A figure has room for the first predictor and the 32-bit counterparts, which are not predictors.
        shown = table.frame[~table.frame["predictor"].isin(line.predictors[1:])]
        bars |= {f"{line.name} {row['predictor']}": row for row in shown.to_dict("records")}
        tables[line.name] = table
    blocks: list[Block] = []
    if tables:
        caption = (
            "Spikes, synaptic operations and bits of each method's first predictor and of 32-bit networks."
        )
        blocks += [
            drawn(plot_cost_bars(bars), caption),
            Table("Cost of one inference, first run of each method", _joined(tables)),
            Text(ABOUT_COSTS),
        ]
    return Section("costs", "Cost of an inference", [*blocks, *reasons])


def _joined(tables: Mapping[str, PrintedTable]) -> PrintedTable:
    """Return the lines of all tables under one header, each with its method's name in the report."""
    first = next(iter(tables.values()))
    place = list(first.header).index("method")
    body = [
        [*cells[:place], name, *cells[place + 1 :]] for name, table in tables.items() for cells in table.body
    ]
    frame = pd.concat([table.frame.assign(method=name) for name, table in tables.items()], ignore_index=True)
    return replace(first, body=body, numbers=frame.to_dict("records"))
