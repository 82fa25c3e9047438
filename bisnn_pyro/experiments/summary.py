"""What spans runs: one table, figures side by side, and the InferenceData over seeds."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bisnn_pyro.analysis import (
    average_seeds,
    load_idata,
    results_table,
    save_idata,
    stack_seeds,
    write_table,
)
from bisnn_pyro.experiments.build import build_task
from bisnn_pyro.experiments.config import Config
from bisnn_pyro.experiments.early_summary import read_early_scores, write_early_summary
from bisnn_pyro.experiments.figures import draw_summary_figures
from bisnn_pyro.experiments.folder import RunFolder
from bisnn_pyro.experiments.folds import n_folds_of
from bisnn_pyro.experiments.temperature_limits import limit_notes

CLASSIFICATION = ("accuracy", "nll", "brier", "ece", "ece_mass")
REGRESSION = ("rmse", "nll", "coverage90", "width90", "width90_gaps")


@dataclass(frozen=True)
class Summary:
    """Table and files across runs.

    Attributes:
        path: ``<out>/summary``.
        table: the scores of every predictor, as text.
        over: what means and intervals are over: ``seed``, or ``fold`` in a cross-validation (scores of a
            fold are averaged over its seeds).
        intervals: whether there are several of these, and so intervals.
        differences: scores of the first method less those of each other one, paired by seed or fold (on
            the same test points); empty for a single seed or method.
        noise_tables: the same on noisy inputs, by the noise's standard deviation.
        figures: where the figures are.
        early: where scores over elapsed time are, averaged as in the table; None without early decisions.
        notes: what a reader of the table should know.
    """

    path: Path
    table: str
    over: str
    intervals: bool
    differences: str
    noise_tables: dict[str, str]
    figures: tuple[Path, ...]
    early: Path | None
    notes: tuple[str, ...] = ()


def summarise_runs(out: Path, folders: Sequence[RunFolder]) -> Summary:
    """Write ``<out>/summary`` for these finished runs: tables, figures, and InferenceData over seeds.

    Args:
        out: the folder of the runs.
        folders: runs on the same data; either all of them are folds of it or none is.
    """
    path = out / "summary"
    shutil.rmtree(path, ignore_errors=True)  # its own files alone, all made anew here
    records = [folder.read_json("metrics.json") for folder in folders]
    configs = [folder.read_config() for folder in folders]
    over = "seed" if configs[0].fold is None else "fold"
    rows = _rows(configs, [record["predictors"].items() for record in records])
    metrics = [m for m in (REGRESSION if "rmse" in rows[0] else CLASSIFICATION) if m in rows[0]]
    for suffix in ("csv", "md", "tex"):
        write_table(rows, path / f"table.{suffix}", metrics)
    paired = _differences(rows, metrics, over)
    if paired:
        write_table(paired, path / "differences.csv", metrics)
    noise_tables = {}
    for std in records[0].get("noise", {}):
        noisy = _rows(configs, [record.get("noise", {}).get(std, {}).items() for record in records])
        write_table(noisy, path / f"table-noise-{std}.csv", metrics)
        noise_tables[std] = results_table(noisy, metrics)
    early_rows = _rows(configs, [read_early_scores(folder) for folder in folders])
    early = write_early_summary(path, early_rows, figures=configs[0].analysis.figures)
    _stack(path, folders, configs)
    if configs[0].analysis.figures:
        draw_summary_figures(path, _of_one_seed(folders, configs), build_task(configs[0]))
    figures = tuple(sorted(path.glob("*.png")))
    differences = results_table(paired, metrics) if paired else ""
    intervals = len({row[over] for row in rows}) > 1
    table = results_table(rows, metrics)
    fits = [(c.method, r.get("temperatures", {})) for c, r in zip(configs, records, strict=True)]
    notes = tuple(limit_notes(fits))
    return Summary(path, table, over, intervals, differences, noise_tables, figures, early, notes)


def _rows(
    configs: Sequence[Config], found: Sequence[Iterable[tuple[str, Mapping[str, Any]]]]
) -> list[dict[str, Any]]:
    """Return a row a run and predictor, or, in a cross-validation, a row a method, predictor and fold."""
    rows = []
    for config, predictors in zip(configs, found, strict=True):
        run = {"seed": config.seed}
        if config.fold is not None:
            run |= {"fold": config.fold, "n_folds": n_folds_of(config)}
        for name, scores in predictors:
            rows.append({"method": config.method, "predictor": name, **run, **scores})
    return rows if configs[0].fold is None else average_seeds(rows)


def _differences(rows: Sequence[dict[str, Any]], metrics: Sequence[str], over: str) -> list[dict[str, Any]]:
    """Return, seed by seed or fold by fold, the first method's first predictor less every other's."""
    first: dict[tuple[str, int], dict[str, Any]] = {}
    for row in rows:
        first.setdefault((row["method"], row[over]), row)
    reference, *others = dict.fromkeys(method for method, _ in first)
    pairs = [(m, k) for m, k in first if m in others and (reference, k) in first]
    if len({k for _, k in pairs}) < 2:
        return []
    return [
        {
            "difference": f"{reference} - {method}",
            over: k,
            **{m: first[reference, k][m] - first[method, k][m] for m in metrics},
        }
        for method, k in sorted(pairs, key=lambda pair: others.index(pair[0]))
    ]


def _stack(path: Path, folders: Sequence[RunFolder], configs: Sequence[Config]) -> None:
    """Write one InferenceData a method, or a method and fold: folds have other test points."""
    groups: dict[str, list[RunFolder]] = {}
    for folder, config in zip(folders, configs, strict=True):
        name = config.method if config.fold is None else f"{config.method}-fold{config.fold}"
        groups.setdefault(name, []).append(folder)
    for name, own in groups.items():
        save_idata(stack_seeds([load_idata(f.idata_path) for f in own]), path / f"{name}.nc")


def _of_one_seed(folders: Sequence[RunFolder], configs: Sequence[Config]) -> dict[str, list[RunFolder]]:
    """Return each method's run of its first seed, in a cross-validation its runs of all folds.

    Figures share test points: methods that lack the first fold of the others have none.
    """
    first: dict[str, tuple[int, list[RunFolder]]] = {}
    for folder, config in zip(folders, configs, strict=True):
        if config.method in first or config.fold == configs[0].fold:
            seed, own = first.setdefault(config.method, (config.seed, []))
            own += [folder] if config.seed == seed else []
    return {method: own for method, (_, own) in first.items()}
