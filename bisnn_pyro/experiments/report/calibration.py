"""Calibration of classes: diagrams, errors by seed and pooled, and what a calibrated predictor would show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bisnn_pyro.analysis import (
    calibration_metrics,
    plot_reliability,
    plot_reliability_seeds,
    printed_table,
)
from bisnn_pyro.experiments.report.blocks import Block, Caution, Section, Table, Text, plain_table, some
from bisnn_pyro.experiments.report.lines import Line, Material
from bisnn_pyro.experiments.report.pictures import drawn
from bisnn_pyro.experiments.temperature_limits import WHAT, predictors_at_limit

BASELINE = ("ece_calibrated", "ece_calibrated_high")
DEBIASED = ("debiased_l2_square", "debiased_l2_marginal_square")
OTHERS = ("ece_mass", "smooth_ece", "classwise_ece", "classwise_ece_mass", *DEBIASED)
ERRORS = ("ece", *BASELINE, *OTHERS)
NAMES = ("method", "predictor", "seed")
BRIER = ("brier", "reliability", "resolution", "uncertainty", "miscalibration", "discrimination")

ABOUT = (
    "ece_calibrated is the ECE that a perfectly calibrated predictor with the same confidences would show "
    "on so many points, ece_calibrated_high what 97.5 % of such predictors stay below: an ECE up to there "
    "is no sign of miscalibration. ece and ece_mass look at the top label, in bins of equal width and of "
    "equal mass; classwise forms at every class; smooth_ece has no bins; debiased "
    "squares are less their own bias, and may be below 0. "
    "The Brier score is reliability - resolution + uncertainty, or miscalibration - discrimination + "
    "uncertainty without bins; resolution is the generalised one, with the parts "
    "within bins."
)

Row = dict[str, Any]


def calibration(material: Material) -> Section:
    """Return diagrams and errors of each method's own predictor, and of the same at its temperature."""
    rows, pooled = [], []
    for line in material.lines:
        for predictor in line.main:
            own = [_row(line, predictor, seed, material.bins) for seed in line.seeds]
            rows += own
            pooled.append(_pooled(line, predictor, material.bins, own[0]))
    blocks: list[Block] = [
        *_pictures(material),
        Table(f"Calibration errors, {_where(material)}", printed_table(rows, ERRORS, digits=4)),
        Table(f"Brier score and its parts, {_where(material)}", printed_table(rows, BRIER, digits=4)),
    ]
    if len(rows) > len(pooled):
        each = [{key: row[key] for key in (*NAMES, *ERRORS)} for row in rows]
        note = (
            "every prediction of every seed counts once; they share test points, for which neither "
            "ece_calibrated nor the debiased squares allow"
        )
        blocks.append(Table("Calibration with the seeds pooled", plain_table(pooled, notes=[note])))
        blocks.append(Table("Calibration of each seed", plain_table(each), folded=True))
    blocks.append(Text(ABOUT))
    cautions = [*too_few_points(rows, material.n_points), *unfitted_temperatures(material)]
    return Section("calibration", "Calibration", blocks, cautions)


def too_few_points(rows: Sequence[Row], n_points: int) -> list[Caution]:
    """Return a caution on predictors of whose ECE half or more is what calibrated ones would show.

    Args:
        rows: a row a predictor and seed, with ``ece`` and that of a calibrated predictor.
        n_points: test points of each.
    """
    lines: dict[str, list[Row]] = {}
    for row in rows:
        lines.setdefault(f"{row['method']} {row['predictor']}", []).append(row)
    items = []
    for name, own in lines.items():
        ece, expected, high = (float(np.mean([row[key] for row in own])) for key in ("ece", *BASELINE))
        if expected >= 0.5 * ece:
            verdict = "" if ece > high else ", no sign of miscalibration"
            items.append(f"{name}: ECE {ece:.4f}; calibrated {expected:.4f}, up to {high:.4f}{verdict}")
    if not items:
        return []
    text = (
        f"Half or more of these calibration errors is what a calibrated predictor would show on {n_points} "
        "test points, too. Do not rank predictors by them; a smaller part of noise takes more test points, "
        "four times as many for half of it."
    )
    return [Caution("Too few test points for the ECE quoted", text, some(items))]


def unfitted_temperatures(material: Material) -> list[Caution]:
    """Return a caution on temperatures at a limit of their fit."""
    runs = ((line.name, run.metrics.get("temperatures", {})) for line in material.lines for run in line.runs)
    names = predictors_at_limit(runs)
    if not names:
        return []
    text = f"{WHAT[0].upper()}{WHAT[1:]}. Fit temperatures on more validation points, or leave them out."
    return [Caution("Temperatures at a limit", text, some(names))]


def _row(line: Line, predictor: str, seed: int, bins: int) -> Row:
    probs, y = line.votes(predictor, seed)
    return {"method": line.name, "predictor": predictor, "seed": seed, **_metrics(probs, y, bins)}


def _metrics(probs: np.ndarray, y: np.ndarray, bins: int) -> dict[str, float]:
    """Return the metrics in the order of the tables."""
    found = calibration_metrics(probs, y, bins)
    return {name: found[name] for name in (*ERRORS, *BRIER)}


def _pooled(line: Line, predictor: str, bins: int, single: Row) -> Row:
    """Return the row of all seeds' predictions together; that of the one seed where there is but one."""
    found = single
    if len(line.seeds) > 1:
        votes = [line.votes(predictor, seed) for seed in line.seeds]
        probs, y = (np.concatenate(parts) for parts in zip(*votes, strict=True))
        found = _metrics(probs, y, bins)
    scores = {name: found[name] for name in ERRORS if name not in (*BASELINE, *DEBIASED)}
    return {"method": line.name, "predictor": predictor, "predictions": _count(line, predictor), **scores}


def _count(line: Line, predictor: str) -> int:
    return sum(len(run.predictions.votes[predictor]) for run in line.runs)


def _where(material: Material) -> str:
    folds = ", folds pooled" if material.folds else ""
    return f"over seeds, on {material.n_points} test points{folds}"


def _pictures(material: Material) -> list[Block]:
    firsts = {line.label(p): line.votes(p, line.seeds[0]) for line in material.lines for p in line.main}
    folds = " and its folds pooled" if material.folds else ""
    caption = (
        f"Reliability of the first training seed{folds}: accuracy against confidence with Wilson intervals, "
        "grey where 95 % of calibrated predictors would lie; below, how many points each bin holds."
    )
    blocks: list[Block] = [drawn(plot_reliability(firsts, material.bins), caption)]
    several = {
        line.label(p): [line.votes(p, seed) for seed in line.seeds]
        for line in material.lines
        for p in line.main
        if len(line.seeds) > 1
    }
    if several:
        caption = "Reliability of every training seed (hollow) and of all of them pooled (full)."
        blocks.append(drawn(plot_reliability_seeds(several, material.bins), caption))
    return blocks
