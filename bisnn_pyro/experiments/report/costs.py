"""What an inference costs: operations, memory accesses and energy, counted anew on the data."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bisnn_pyro.analysis import PrintedTable, plot_cost_bars
from bisnn_pyro.errors import InputError
from bisnn_pyro.experiments.energy import energy
from bisnn_pyro.experiments.report.blocks import Block, Section, Table, Text
from bisnn_pyro.experiments.report.lines import Material
from bisnn_pyro.experiments.report.pictures import drawn
from bisnn_pyro.experiments.temperatures import SCALED

ABOUT = (
    "Energies are an accounting, no measurement: operations and accesses to weights, state and inputs, each "
    "at a price for 45 nm CMOS, with nothing for encoding, control, routing or leakage. The last lines of a "
    "method are the same network with 32-bit weights, and one without spikes. For other prices, bisnn energy."
)


def costs(material: Material) -> Section:
    """Return the costs of each method's first run, or why they could not be counted.

    Bits of weights and spikes stand in the table of scores.
    """
    tables: dict[str, PrintedTable] = {}
    reasons: dict[str, str] = {}
    for line in material.lines:
        try:
            tables[line.name] = energy([line.first.folder.path], data_dir=material.data_dir)
        except (InputError, OSError) as error:
            reasons[line.name] = str(error)
    blocks: list[Block] = []
    if tables:
        caption = "Spikes, synaptic operations and bits of each method's own predictor and of its relatives."
        blocks.append(drawn(plot_cost_bars(_bars(tables)), caption))
        blocks.append(Table("Cost of one inference, first run of each method", _joined(tables)))
        blocks.append(Text(ABOUT))
    blocks += [Text(f"{name} was not counted: {reason}") for name, reason in reasons.items()]
    return Section("costs", "Cost of an inference", blocks)


def _joined(tables: dict[str, PrintedTable]) -> PrintedTable:
    """Return the lines of all tables below one header, each under its method's name in the report."""
    first = next(iter(tables.values()))
    place = first.header.index("method")
    body, rows = [], []
    for name, table in tables.items():
        body += [[*cells[:place], name, *cells[place + 1 :]] for cells in table.body]
        rows += [{**row, "method": name} for row in table.numbers]
    return replace(first, body=body, numbers=rows)


def _bars(tables: dict[str, PrintedTable]) -> dict[str, dict[str, Any]]:
    """Return the rows that a figure has room for: a method's first predictor and its 32-bit relatives."""
    bars: dict[str, dict[str, Any]] = {}
    for name, table in tables.items():
        own = [row for row in table.numbers if not row["predictor"].endswith(SCALED)]
        shown = [own[0], *(row for row in own if row["predictor"].startswith("("))]
        bars |= {f"{name} {row['predictor']}": dict(row) for row in shown}
    return bars
