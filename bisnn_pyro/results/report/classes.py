"""Classifications: calibration, selective prediction, and the uncertainty and size of committees."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from bisnn_pyro.analysis import (
    auroc,
    calibration_metrics,
    committee_size_scores,
    disagreement,
    expected_entropy,
    mutual_information,
    plot_committee_size,
    plot_entropy_split,
    plot_reliability,
    plot_reliability_seeds,
    plot_risk_coverage,
    predictive_entropy,
    printed_table,
    selective_accuracy,
    top_label,
    vote_variance,
)
from bisnn_pyro.experiments.predictors import AT_LIMIT, predictors_at_limit
from bisnn_pyro.results.report.blocks import (
    Block,
    Caution,
    Section,
    Table,
    Text,
    caution_if,
    drawn,
    plain_table,
)
from bisnn_pyro.results.runs import Runs
from bisnn_pyro.results.studies.selective import selective_scores

NAMES = ["method", "predictor"]
BASELINE = ["ece_calibrated", "ece_calibrated_high"]
POOLED = ["ece", "ece_mass", "smooth_ece", "classwise_ece", "classwise_ece_mass"]
DEBIASED = ["debiased_l2_square", "debiased_l2_marginal_square"]
ERRORS = ["ece", *BASELINE, *POOLED[1:], *DEBIASED]
BRIER = ["brier", "reliability", "resolution", "uncertainty", "miscalibration", "discrimination"]
MEASURES = {
    "predictive_entropy": predictive_entropy,
    "expected_entropy": expected_entropy,
    "mutual_information": mutual_information,
    "vote_variance": vote_variance,
    "disagreement": disagreement,
}
LEAST_DRAWN = 60
"""Test points below which a risk-coverage curve is not drawn: little of it would be left."""

ABOUT_CALIBRATION = (
    "ece_calibrated is the ECE that a perfectly calibrated predictor with the same confidences would show on "
    "as many points; 97.5 % of such predictors stay below ece_calibrated_high, so an ECE below it is not "
    "evidence of miscalibration. ece and ece_mass use the top label, in bins of equal width and of equal "
    "mass; the classwise forms use every class; smooth_ece needs no bins; the debiased squares have their "
    "own bias subtracted and can be negative. The Brier score is reliability - resolution + uncertainty, or, "
    "without bins, miscalibration - discrimination + uncertainty; resolution is the generalised one, which "
    "includes the terms within bins."
)
ABOUT_SELECTIVE = (
    "accuracy@c is the accuracy on the most confident share c of the test points. aurc is the area under the "
    "curve; excess_aurc is how much larger it is than with the best possible order of the same errors, which "
    "is 0 if every error is less confident than every right prediction."
)
ABOUT_UNCERTAINTY = (
    "The entropy of the vote (predictive_entropy, nats) is the mean entropy of the members "
    "(expected_entropy) plus the mutual information of prediction and weights, which is 0 if all members "
    "agree. vote_variance is the variance of the top class's probability over members; disagreement is the "
    "share of members with a different top class. auroc_error is the probability that a wrong prediction has "
    "a higher value than a right one: 0.5 is chance."
)


def calibration(runs: Runs) -> Section:
    """Return diagrams and errors of each method's first predictor, also after temperature scaling."""
    votes = list(_votes(runs))
    frame = pd.DataFrame([{**names, **calibration_metrics(*pair, runs.bins)} for names, pair in votes])
    errors, parts = (frame[[*NAMES, "seed", *scores]] for scores in (ERRORS, BRIER))
    where = f"over seeds, on {runs.n_points} test points{', folds pooled' if runs.folds else ''}"
    blocks: list[Block] = [
        *_diagrams(runs),
        Table(f"Calibration errors, {where}", printed_table(errors, digits=4)),
        Table(f"Brier score and its parts, {where}", printed_table(parts, digits=4)),
    ]
    if frame.duplicated(NAMES).any():
        note = (
            "every prediction of every seed counts once; the seeds share test points, which neither "
            "ece_calibrated nor the debiased squares account for"
        )
        blocks += [
            Table("Calibration with the seeds pooled", plain_table(_pooled(votes, runs.bins), notes=[note])),
            Table("Calibration of each seed", plain_table(errors), folded=True),
        ]
    blocks.append(Text(ABOUT_CALIBRATION))
    cautions = [*too_few_points(frame, runs.n_points), *unfitted_temperatures(runs)]
    return Section("calibration", "Calibration", blocks, cautions)


def too_few_points(frame: pd.DataFrame, n_points: int) -> list[Caution]:
    """Return a caution about predictors whose ECE is at least half what a calibrated one would show.

    Args:
        frame: one row per method, predictor and seed, with ``ece`` and :data:`BASELINE`.
        n_points: test points of each.
    """
    items = []
    means = frame.groupby(NAMES, sort=False)[["ece", *BASELINE]].mean()
    for method, predictor, ece, expected, high in means.reset_index().itertuples(index=False, name=None):
        if expected >= 0.5 * ece:
            verdict = "" if ece > high else ", not evidence of miscalibration"
            errors = f"ECE {ece:.4f}; calibrated {expected:.4f}, up to {high:.4f}"
            items.append(f"{method} {predictor}: {errors}{verdict}")
    text = (
        f"On {n_points} test points a calibrated predictor would show at least half of these calibration "
        "errors, too. Do not rank predictors by them. Four times as many test points halve this noise."
    )
    return caution_if(items, "Too few test points for the ECE", text)


def unfitted_temperatures(runs: Runs) -> list[Caution]:
    """Return a caution about temperatures at a limit of their fit."""
    names = predictors_at_limit((line.name, run.temperatures) for line in runs.lines for run in line.runs)
    text = f"{AT_LIMIT[0].upper()}{AT_LIMIT[1:]}. Fit them on more validation points, or do without."
    return caution_if(names, "Temperatures at a limit", text)


def selective(runs: Runs) -> Section:
    """Return risk against coverage, with the top label's probability as the confidence."""
    curves = {}
    for line in runs.lines:
        for predictor in line.main:
            top, correct = top_label(*line.votes(predictor, line.seeds[0]))
            curves[line.label(predictor)] = top, 1.0 - correct
    rows = [{**names, **selective_scores(selective_accuracy(*pair))} for names, pair in _votes(runs)]
    blocks: list[Block] = [Text(f"{runs.n_points} test points are too few for a curve.")]
    if runs.n_points >= LEAST_DRAWN:
        caption = "Share of errors among the points kept, most confident first; first training seed."
        blocks = [drawn(plot_risk_coverage(curves), caption)]
    table = printed_table(pd.DataFrame(rows), digits=4)
    blocks += [Table("Selective prediction, over seeds", table), Text(ABOUT_SELECTIVE)]
    return Section("selective", "Risk and coverage", blocks)


def uncertainty(runs: Runs) -> Section | None:
    """Return the decomposition of each committee's uncertainty; None if there is no committee."""
    committees = [line for line in runs.lines if line.has_committee]
    if not committees:
        return None
    rows: list[dict[str, Any]] = []
    blocks: list[Block] = []
    for line in committees:
        for seed in line.seeds:
            draws, y = line.members(seed)
            rows += _measured({"method": line.name, "seed": seed}, draws, y)
            if seed == line.seeds[0]:
                caption = f"{line.name}, seed {seed}: the uncertainty of its {len(draws)} members."
                blocks.append(drawn(plot_entropy_split(draws, y), caption))
    table = printed_table(pd.DataFrame(rows), digits=4)
    blocks.append(Table("Uncertainty of right and of wrong predictions, over seeds", table))
    single = [line.name for line in runs.lines if line not in committees]
    if single:
        blocks.append(Text(f"{', '.join(single)}: a single network, whose uncertainty has no parts."))
    return Section("uncertainty", "Uncertainty", [*blocks, Text(ABOUT_UNCERTAINTY)])


def committee_curves(runs: Runs) -> dict[str, dict[str, np.ndarray]]:
    """Return the scores of each method's first committee, columns by number of members."""
    return {
        line.name: committee_size_scores(*line.members(line.seeds[0]), n_bins=runs.bins)
        for line in runs.lines
        if line.has_committee
    }


def committee_size(runs: Runs) -> Section | None:
    """Return scores against the number of members; None if there is no committee."""
    curves = committee_curves(runs)
    if not curves:
        return None
    caption = (
        "NLL and ECE against the number of members: mean and 95 % range of 20 random choices of members; "
        "first training seed. Trust the curve up to half of the largest size; beyond that the choices "
        "overlap."
    )
    table = pd.concat({name: pd.DataFrame(columns) for name, columns in curves.items()}, names=["method"])
    blocks: list[Block] = [
        drawn(plot_committee_size(curves), caption),
        Table("Scores by number of members", plain_table(table.reset_index("method")), folded=True),
    ]
    return Section("committee", "Size of the committee", blocks)


Pair = tuple[np.ndarray, np.ndarray]


def _votes(runs: Runs) -> Iterator[tuple[dict[str, Any], Pair]]:
    """Yield names, votes and labels of the main predictors of all methods, one per seed."""
    for line in runs.lines:
        for predictor in line.main:
            for seed in line.seeds:
                yield {"method": line.name, "predictor": predictor, "seed": seed}, line.votes(predictor, seed)


def _pooled(votes: list[tuple[dict[str, Any], Pair]], bins: int) -> pd.DataFrame:
    """Return the errors of the predictions of all seeds together."""
    groups: dict[tuple[str, str], list[Pair]] = {}
    for names, pair in votes:
        groups.setdefault((names["method"], names["predictor"]), []).append(pair)
    rows = []
    for key, pairs in groups.items():
        probs, y = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
        rows.append((*key, len(y), *map(calibration_metrics(probs, y, bins).get, POOLED)))
    return pd.DataFrame(rows, columns=[*NAMES, "predictions", *POOLED])


def _diagrams(runs: Runs) -> list[Block]:
    """Return reliability diagrams of the first seed, and of all seeds if a method has several."""
    lines = [(line, predictor) for line in runs.lines for predictor in line.main]
    firsts = {line.label(p): line.votes(p, line.seeds[0]) for line, p in lines}
    caption = (
        f"Reliability of the first training seed{', its folds pooled' if runs.folds else ''}: accuracy "
        "against confidence with Wilson intervals; grey: 95 % range if calibrated; below, the number of "
        "points in each bin."
    )
    blocks: list[Block] = [drawn(plot_reliability(firsts, runs.bins), caption)]
    several = {
        line.label(p): [line.votes(p, seed) for seed in line.seeds]
        for line, p in lines
        if len(line.seeds) > 1
    }
    if several:
        caption = "Reliability of each training seed (hollow) and of all seeds pooled (filled)."
        blocks.append(drawn(plot_reliability_seeds(several, runs.bins), caption))
    return blocks


def _measured(names: dict[str, Any], draws: np.ndarray, y: np.ndarray) -> list[dict[str, Any]]:
    wrong = draws.mean(0).argmax(-1) != y
    rows = []
    for measure, function in MEASURES.items():
        values = function(draws)
        bad, good = values[wrong], values[~wrong]
        means = {"all": values.mean(), "right": None, "wrong": None, "auroc_error": None}
        means |= {name: own.mean() for name, own in (("right", good), ("wrong", bad)) if own.size}
        means |= {"auroc_error": auroc(good, bad)} if good.size and bad.size else {}
        rows.append({**names, "measure": measure, **means})
    return rows
