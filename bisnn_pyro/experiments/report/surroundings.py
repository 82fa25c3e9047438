"""The environment: versions, machine, threads, and whatever else the runs recorded; and their commands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bisnn_pyro.errors import RunFolderError
from bisnn_pyro.experiments.comparable import FinishedRun
from bisnn_pyro.experiments.report.blocks import Block, Caution, Section, Table, Text, plain_table, some
from bisnn_pyro.experiments.report.lines import Material

COMMAND = "command"


def surroundings(material: Material) -> Section:
    """Return a column for each environment that runs were made in, and a line for each command."""
    groups: dict[tuple[tuple[str, str], ...], list[str]] = {}
    commands: dict[str, list[str]] = {}
    for name, run in material.named_runs().items():
        record = _recorded(run)
        command = record.pop(COMMAND, None)  # two commands are no two environments
        if command is not None:
            commands.setdefault(command, []).append(name)
        groups.setdefault(tuple(_flat(record)), []).append(name)
    names = ["all runs"] if len(groups) == 1 else [f"environment {i + 1}" for i in range(len(groups))]
    columns = dict(zip(names, map(dict, groups), strict=True))
    keys = dict.fromkeys(key for column in columns.values() for key in column)
    rows = [{"": key, **{name: column.get(key) for name, column in columns.items()}} for key in keys]
    blocks: list[Block] = [Table("What the runs recorded", plain_table(rows))] if rows else []
    if not rows:
        blocks.append(Text("The runs recorded no environment."))
    if commands:
        started = [{COMMAND: command, "runs": ", ".join(some(runs))} for command, runs in commands.items()]
        blocks.append(Table("How the runs were started", plain_table(started)))
    if len(groups) == 1:
        return Section("environment", "Environment", blocks)
    blocks += [
        Text(f"{name}: {', '.join(some(runs))}") for name, runs in zip(names, groups.values(), strict=True)
    ]
    differ = [key for key in keys if len({column.get(key) for column in columns.values()}) > 1]
    text = "Runs repeat bit by bit in one environment alone; scores should agree all the same."
    caution = Caution("Runs were made in different environments", text, some(differ))
    return Section("environment", "Environment", blocks, [caution])


def _recorded(run: FinishedRun) -> dict[str, Any]:
    try:
        return run.folder.read_json("environment.json")
    except RunFolderError:
        return {}


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    found = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            found += _flat(value, f"{key} ")
        else:
            found.append((f"{prefix}{key}", str(value)))
    return found
