"""What spans runs: one table, figures side by side, and the InferenceData over seeds."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bisnn_pyro.analysis import load_idata, results_table, save_idata, stack_seeds, write_table
from bisnn_pyro.experiments.build import build_task
from bisnn_pyro.experiments.figures import draw_summary_figures
from bisnn_pyro.experiments.folder import RunFolder

CLASSIFICATION = ("accuracy", "nll", "brier", "ece", "ece_mass")
REGRESSION = ("rmse", "nll", "coverage90", "width90", "width90_gaps")


@dataclass(frozen=True)
class Summary:
    """Table and files across runs.

    Attributes:
        path: ``<out>/summary``.
        table: the scores of every predictor, as text.
        over_seeds: whether there are several training seeds, and so intervals.
        differences: scores of the first method less those of each other one, paired by training seed (on
            the same test points); empty for a single seed or method.
        noise_tables: the same on noisy inputs, by the noise's standard deviation.
        figures: where the figures are.
    """

    path: Path
    table: str
    over_seeds: bool
    differences: str
    noise_tables: dict[str, str]
    figures: tuple[Path, ...]


def summarise_runs(out: Path, folders: Sequence[RunFolder]) -> Summary:
    """Write ``<out>/summary`` for these finished runs: tables, figures, and InferenceData over seeds."""
    path = out / "summary"
    shutil.rmtree(path, ignore_errors=True)  # its own files alone, all made anew here
    records = [folder.read_json("metrics.json") for folder in folders]
    rows = [row for record in records for row in _rows(record, record["predictors"])]
    metrics = [m for m in (REGRESSION if "rmse" in rows[0] else CLASSIFICATION) if m in rows[0]]
    for suffix in ("csv", "md", "tex"):
        write_table(rows, path / f"table.{suffix}", metrics)
    paired = _differences(rows, metrics)
    if paired:
        write_table(paired, path / "differences.csv", metrics)
    noise_tables = {}
    for std in records[0].get("noise", {}):
        noisy = [row for r in records if std in r.get("noise", {}) for row in _rows(r, r["noise"][std])]
        write_table(noisy, path / f"table-noise-{std}.csv", metrics)
        noise_tables[std] = results_table(noisy, metrics)
    _stack(path, folders, records)
    seeds: dict[str, int] = {}
    for record in records:
        seeds.setdefault(record["method"], record["seed"])
    first = [f for f, r in zip(folders, records, strict=True) if seeds[r["method"]] == r["seed"]]
    config = first[0].read_config()
    if config.analysis.figures:
        draw_summary_figures(path, first, build_task(config))
    figures = tuple(sorted(path.glob("*.png")))
    differences = results_table(paired, metrics) if paired else ""
    over_seeds = len({record["seed"] for record in records}) > 1
    return Summary(path, results_table(rows, metrics), over_seeds, differences, noise_tables, figures)


def _rows(record: dict[str, Any], predictors: dict[str, dict[str, float]]) -> list[dict[str, Any]]:
    return [
        {"method": record["method"], "predictor": name, "seed": record["seed"], **scores}
        for name, scores in predictors.items()
    ]


def _differences(rows: Sequence[dict[str, Any]], metrics: Sequence[str]) -> list[dict[str, Any]]:
    """Return, seed by seed, the first method's first predictor less that of each other method."""
    first: dict[tuple[str, int], dict[str, Any]] = {}
    for row in rows:
        first.setdefault((row["method"], row["seed"]), row)
    reference, *others = dict.fromkeys(method for method, _ in first)
    pairs = [(m, s) for m, s in first if m in others and (reference, s) in first]
    if len({seed for _, seed in pairs}) < 2:
        return []
    return [
        {
            "difference": f"{reference} - {method}",
            "seed": seed,
            **{k: first[reference, seed][k] - first[method, seed][k] for k in metrics},
        }
        for method, seed in sorted(pairs, key=lambda pair: others.index(pair[0]))
    ]


def _stack(path: Path, folders: Sequence[RunFolder], records: Sequence[dict[str, Any]]) -> None:
    for method in dict.fromkeys(r["method"] for r in records):
        own = [f for f, r in zip(folders, records, strict=True) if r["method"] == method]
        save_idata(stack_seeds([load_idata(f.idata_path) for f in own]), path / f"{method}.nc")
