"""Whether training had come to its end: curves, and where validation stopped it."""

from __future__ import annotations

from typing import Any

import numpy as np

from bisnn_pyro.analysis import plot_training_curves
from bisnn_pyro.experiments.comparable import FinishedRun
from bisnn_pyro.experiments.report.blocks import Block, Caution, Section, Table, Text, plain_table, some
from bisnn_pyro.experiments.report.lines import Material
from bisnn_pyro.experiments.report.pictures import drawn
from bisnn_pyro.inference import History

STILL_FALLING = 0.01
"""Relative gain of the best validation NLL in the last quarter of training that counts as falling."""


def training(material: Material) -> Section:
    """Return curves of each method's first run, and a line a run on how it ended."""
    runs = material.named_runs()
    histories = {name: History.read_csv(run.folder.history_path) for name, run in runs.items()}
    firsts = {line.name: histories[line.run_name(line.first)] for line in material.lines}
    columns = {
        name: {column: history.column(column) for column in history.columns}
        for name, history in firsts.items()
    }
    rows = [{"run": name, **_row(run, histories[name])} for name, run in runs.items()]
    caption = (
        "Training of each method's first run: data term of the loss, KL, and NLL of the validation points."
    )
    about = (
        "late_gain is how much of the best validation NLL of the first three quarters the last quarter of "
        "training took off."
    )
    blocks: list[Block] = [
        drawn(plot_training_curves(columns), caption),
        Table("How each run ended", plain_table(rows, digits={"train_seconds": 1})),
        Text(about),
    ]
    return Section("training", "Training", blocks, _cautions(rows))


def late_gain(val_nll: np.ndarray) -> float:
    """Return how much the best of the last quarter is below the best before, relative to the latter.

    Args:
        val_nll: ``[E]`` by epoch, NaN where there was no validation.

    Returns:
        0 where the last quarter has nothing better; NaN where either part was never validated.
    """
    start = len(val_nll) - len(val_nll) // 4
    before, late = (part[np.isfinite(part)] for part in np.split(val_nll, [start]))
    if not before.size or not late.size or before.min() == 0:
        return float("nan")
    return max(float((before.min() - late.min()) / abs(before.min())), 0.0)


def _row(run: FinishedRun, history: History) -> dict[str, Any]:
    val = np.array(history.column("val_nll"))
    validated = np.flatnonzero(np.isfinite(val)) + 1
    best = run.metrics["best_epoch"]
    last = len(validated) > 1 and best >= validated[-1]
    return {
        "epochs": run.metrics["epochs"],
        "best epoch": best if len(validated) else None,
        "last is best": ("yes" if last else "no") if len(validated) else "not validated",
        "val_nll": run.metrics.get("val_nll"),
        "late_gain": late_gain(val),
        "train_seconds": float(run.metrics["train_seconds"]),
    }


def _cautions(rows: list[dict[str, Any]]) -> list[Caution]:
    last = [row["run"] for row in rows if row["last is best"] == "yes"]
    falling = [
        f"{r['run']}: {100 * r['late_gain']:.1f}\N{NO-BREAK SPACE}%"
        for r in rows
        if r["late_gain"] > STILL_FALLING
    ]
    found = []
    if last:
        text = (
            "The best epoch is the last that was validated, so more epochs might score better, unless a "
            "schedule had brought the learning to rest."
        )
        found.append(Caution("Validation chose the last epoch", text, some(last)))
    if falling:
        text = (
            "In the last quarter of training the best validation NLL fell by more than "
            f"{100 * STILL_FALLING:g} %: these runs may not have converged."
        )
        found.append(Caution("The validation NLL was still falling", text, some(falling)))
    never = [row["run"] for row in rows if row["last is best"] == "not validated"]
    if never:
        text = "Nothing says when training should have stopped."
        found.append(Caution("Runs without validation", text, some(never)))
    return found
