"""Training curves and how runs ended, the agreement of training seeds, and the posteriors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from bisnn_pyro.analysis import (
    LayerPosterior,
    compare_seeds,
    not_learned,
    plot_posterior_bars,
    plot_training_curves,
    printed_table,
)
from bisnn_pyro.errors import InputError
from bisnn_pyro.experiments.fitted import load_run
from bisnn_pyro.inference import History, saturated_share
from bisnn_pyro.results.finished import FinishedRun
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
from bisnn_pyro.results.runs import Line, Runs
from bisnn_pyro.results.studies.posterior import DIGITS, layer_posteriors

STILL_FALLING = 0.01
"""Relative gain of the best validation NLL in the last quarter of training that counts as falling."""
FAR = 4.0
"""Standard errors between two seeds from which they disagree; by chance some pair of ten seeds is that far
apart in at most three reports of a thousand."""
R_HAT = 1.1
AT_THE_END = {"K": "kl_time", "entropy": "entropy_bits", "saturated": "saturated", "unmoved": "unmoved"}
SATURATED = 0.01
"""Share of a layer's synapses from which their saturation is mentioned."""

ABOUT_TRAINING = (
    "late_gain is the relative reduction of the best validation NLL in the last quarter of training, against "
    "the best of the first three quarters. K is how far the KL has acted, in units of its own relaxation "
    "time, and entropy that of a binary synapse in bits; saturated is the share of synapses whose tanh is "
    "rounded to -1 or 1, and unmoved that of those still at their start; all at the best epoch."
)
ABOUT_AGREEMENT = (
    "r_hat compares the members' mean log-likelihood between seeds with that within a seed. Near 1, another "
    "seed would have given another sample of the same committee; well above 1, the committee of one seed is "
    "narrower than training as a whole. distance is the largest difference between two seeds in standard "
    "errors, paired on the test points."
)
ABOUT_POSTERIOR = (
    "A synapse is undecided if both signs have a probability of at least 1/4. mean_size is the mean |tanh| "
    "of the natural parameter: 0 for fair coins, 1 for fixed signs. kl_per_synapse (nats) is at most 0.69 "
    "under a fair prior, which it reaches if every sign is fixed; of a mixture it is that of the "
    "marginals, a lower bound, and the mean over its components' trainings is an upper one. saturated is the "
    "share of synapses whose tanh is rounded to -1 or 1 in single precision."
)


def training(runs: Runs) -> Section:
    """Return the curves of each method's first run, and one line per run on how it ended."""
    histories = {run: run.folder.read_history().components() for run in runs}
    curves = {line.name: histories[line.first][0] for line in runs.lines}
    columns = {name: {c: history.column(c) for c in history.columns} for name, history in curves.items()}
    rows = [
        {"run": line.run_name(run) + name, **ended}
        for line in runs.lines
        for run in line.runs
        for name, ended in _ended(run, histories[run])
    ]
    caption = (
        "Training of each method's first run, of a mixture its first component: data term of the loss, KL, "
        "and NLL of the validation points."
    )
    blocks: list[Block] = [
        drawn(plot_training_curves(columns), caption),
        Table("How each run ended", plain_table(rows, digits={"train_seconds": 1})),
        Text(ABOUT_TRAINING),
    ]
    nothing = [f"{name}: {text}" for name, run in runs.named().items() for text in not_learned(run.metrics)]
    text = "Their scores are those of a prediction that ignores its input."
    cautions = caution_if(nothing, "Runs that learned nothing", text)
    return Section("training", "Training", blocks, [*cautions, *_training_cautions(rows)])


def late_gain(val_nll: np.ndarray) -> float:
    """Return how far the best value of the last quarter is below the best before it, relative to the latter.

    Args:
        val_nll: ``[E]``, one per epoch; NaN for epochs without validation.

    Returns:
        0 if the last quarter has nothing better; NaN if either part was never validated.
    """
    start = len(val_nll) - len(val_nll) // 4
    before, late = (part[np.isfinite(part)] for part in np.split(val_nll, [start]))
    if not before.size or not late.size or before.min() == 0:
        return float("nan")
    return max(float((before.min() - late.min()) / abs(before.min())), 0.0)


def _ended(run: FinishedRun, histories: Sequence[History]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield how each component of a run ended, with what names it; a plain run is one without a name."""
    components = run.metrics.get("components", [run.metrics])
    for m, (metrics, history) in enumerate(zip(components, histories, strict=True)):
        val = np.array(history.column("val_nll"))
        validated = np.flatnonzero(np.isfinite(val)) + 1
        best = metrics["best_epoch"]
        ended = history.rows[best - 1] if 0 < best <= len(history) else {}
        last = len(validated) > 1 and best >= validated[-1]
        yield (
            f", component {m}" if len(components) > 1 else "",
            {
                "epochs": metrics["epochs"],
                "best epoch": best if len(validated) else None,
                "last is best": ("yes" if last else "no") if len(validated) else "not validated",
                "val_nll": metrics.get("val_nll"),
                "late_gain": late_gain(val),
                **{name: ended.get(key) for name, key in AT_THE_END.items()},
                "train_seconds": float(metrics["train_seconds"]),
            },
        )


def _training_cautions(rows: list[dict[str, Any]]) -> list[Caution]:
    last, never = (
        [row["run"] for row in rows if row["last is best"] == what] for what in ("yes", "not validated")
    )
    falling = [
        f"{row['run']}: {_percent(row['late_gain'])}" for row in rows if row["late_gain"] > STILL_FALLING
    ]
    at_the_end = (
        "The best epoch is the last one that was validated. More epochs may score better, unless a schedule "
        "had brought the learning rate down to rest."
    )
    text = (
        f"The best validation NLL fell by more than {100 * STILL_FALLING:g} % in the last quarter of "
        "training: these runs may not have converged."
    )
    unknown = "Nothing shows when training should have stopped."
    hardly = [f"{row['run']}: K = {row['K']:.2g}" for row in rows if row["K"] is not None and row["K"] < 1]
    early_stopped = (
        "The posterior has not forgotten its start: it is an early-stopped sum of gradients, not a minimum "
        "of the free energy, and says little about the weight of the KL."
    )
    return [
        *caution_if(hardly, "The KL has hardly acted", early_stopped),
        *caution_if(last, "Validation chose the last epoch", at_the_end),
        *caution_if(falling, "The validation NLL was still falling", text),
        *caution_if(never, "Runs without validation", unknown),
    ]


def agreement(runs: Runs) -> Section | None:
    """Return how far training seeds are apart; None if no method has several seeds."""
    lines = [line for line in runs.lines if len(line.seeds_alike) > 1]
    if not lines:
        return None
    rows = []
    for line in lines:
        points = line.point_scores(line.predictors[0])
        names = ("mse", "nll") if runs.kind == "regression" else ("accuracy", "nll")
        far = {f"distance {name}": distance(points[name]) for name in names}
        own = {"method": line.name, "predictor": line.predictors[0], "seeds": len(line.seeds_alike)}
        rows.append({**own, "r_hat": _r_hat(line), **far})
    blocks: list[Block] = [
        Table("How far training seeds are apart", plain_table(rows, digits=2)),
        Text(ABOUT_AGREEMENT),
    ]
    return Section("seeds", "Agreement of seeds", blocks, _agreement_cautions(rows))


def distance(scores: np.ndarray) -> float:
    """Return the largest difference between two rows, in standard errors of their paired difference.

    Args:
        scores: ``[K, N]``, one row per seed and one column per test point; points with an infinite score
            are left out.

    Returns:
        0 if all rows are equal; NaN if fewer than two points are left.
    """
    finite = scores[:, np.isfinite(scores).all(0)]
    if finite.shape[1] < 2:
        return float("nan")
    return max(_standard_errors(a - b) for a, b in combinations(finite, 2))


def _standard_errors(difference: np.ndarray) -> float:
    spread = difference.std(ddof=1)
    if spread == 0:
        return 0.0 if difference[0] == 0 else float("inf")
    return float(abs(difference.mean()) / spread * np.sqrt(len(difference)))


def _r_hat(line: Line) -> float | None:
    """Return R-hat, or None for folds: networks of different folds are not chains of one posterior."""
    if len(line.runs) > len(line.seeds):
        return None
    draws = [run.store.log_likelihood().mean(1) for run in line.runs]
    if len({len(own) for own in draws}) > 1 or not np.isfinite(np.concatenate(draws)).all():
        return None
    return compare_seeds(np.stack(draws)).r_hat


def _agreement_cautions(rows: list[dict[str, Any]]) -> list[Caution]:
    far = [
        f"{row['method']} {key.split()[1]}: {value:.1f} standard errors"
        for row in rows
        for key, value in row.items()
        if key.startswith("distance") and value > FAR
    ]
    spread = [f"{row['method']}: {row['r_hat']:.2f}" for row in rows if row["r_hat"] and row["r_hat"] > R_HAT]
    apart = (
        "Two seeds of one method differ by more than chance on the same test points: look at the spread over "
        "seeds, not at a single seed."
    )
    narrow = (
        "Members of different seeds differ by more than members of one seed (R-hat of their mean "
        "log-likelihood): a single committee misses uncertainty that other seeds show."
    )
    return [
        *caution_if(far, "Seeds disagree", apart),
        *caution_if(spread, "Committees of different seeds differ", narrow),
    ]


def posteriors(runs: Runs) -> Section | None:
    """Return undecided share and KL of each layer; None if no posterior is over signs."""
    rows: list[dict[str, Any]] = []
    first: dict[str, dict[str, LayerPosterior]] = {}
    reasons: list[Block] = []
    certain = []
    for line in runs.lines:
        try:
            for number, run in enumerate(line.runs):
                fitted = load_run(run.folder, trust=run.trust)
                layers = layer_posteriors(fitted)
                first.setdefault(line.name, layers)
                natural = fitted.natural_parameters()
                for name, layer in layers.items():
                    saturated = saturated_share(natural[name].cpu().numpy())
                    # Each run is a repetition of its own, a fold of a seed as well.
                    row = {"method": line.name, "layer": name, "seed": number, **layer.row()}
                    rows.append({**row, "saturated": saturated})
                    if saturated > SATURATED:
                        certain.append(f"{line.run_name(run)} {name}: {_percent(saturated)}")
        except InputError as error:
            reasons.append(Text(f"{line.name} is not shown: {error}."))
    if not rows:
        return None
    caption = "KL to the prior and share of undecided synapses of each layer; each method's first run."
    over = "folds and seeds" if runs.folds else "seeds"
    blocks: list[Block] = [
        drawn(plot_posterior_bars(first), caption),
        Table(f"Posterior of each layer, over {over}", printed_table(pd.DataFrame(rows), digits=DIGITS)),
        Text(ABOUT_POSTERIOR),
        *reasons,
    ]
    text = (
        "The signs of these synapses are certain in single precision, and what the data say about them is "
        "lost in rounding. Use a smaller learning rate or a larger weight of the KL."
    )
    return Section(
        "posterior", "Posterior", blocks, caution_if(certain, "Saturated natural parameters", text)
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f}\N{NO-BREAK SPACE}%"
