"""The table on the screen, ``results.json`` and the figure."""

from __future__ import annotations

import json
import os
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.measurement import Measurement

TICKS = tuple(m * 10.0**e for e in range(-4, 4) for m in (1, 2, 5))


def environment() -> dict[str, Any]:
    """Return what the figures depend on besides the code."""
    load = os.getloadavg() if hasattr(os, "getloadavg") else None
    return {
        "date": time.strftime("%Y-%m-%d %H:%M:%S"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "machine": platform.machine(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "load": load,
    }


def line(row: Measurement) -> str:
    """Return a row as a line of the table."""
    spread = "" if row.ratio is None else f"{row.ratio:8.3f} [{row.low:.3f}, {row.high:.3f}]"
    times = " ".join("       -" if s is None else _seconds(s) for s in (row.ours_s, row.theirs_s))
    return f"{row.name:40s} {spread:26s} {times}"


HEADING = f"{'row':40s} {'  ratio [quartiles]':26s} {'ours':>8s} {'theirs':>8s}"


def _seconds(s: float) -> str:
    return f"{1e3 * s:5.1f} ms" if s < 1 else f"{s:6.2f} s"


def save(rows: list[Measurement], folder: Path, extra: dict[str, Any] | None = None) -> None:
    """Write ``results.json`` (the rows), ``environment.json`` and the figure ``ratios``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (
        ("results", [row.as_dict() for row in rows]),
        ("environment", {**environment(), **(extra or {})}),
    ):
        (folder / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    compared = [row for row in rows if row.ratio is not None]
    if compared:
        draw(compared, folder)


def draw(rows: list[Measurement], folder: Path) -> None:
    """Draw the ratios as horizontal bars on a log axis that start from 1, with their spread."""
    from bisnn_pyro.analysis import DOUBLE_WIDTH, new_figure, paper_style, save_figure

    ratio, low, high = (np.array([getattr(r, key) for r in rows]) for key in ("ratio", "low", "high"))
    place = np.arange(len(rows))[::-1]
    with paper_style():
        figure = new_figure(DOUBLE_WIDTH, 0.9 + 0.2 * len(rows))
        ax = figure.subplots()
        ax.barh(
            place,
            ratio - 1,
            left=1,
            height=0.7,
            color=["0.75" if r <= 1 else "white" for r in ratio],
            hatch=["" if r <= 1 else "////" for r in ratio],
            edgecolor="0.2",
            linewidth=0.6,
            xerr=np.maximum(np.stack((ratio - low, high - ratio)), 0),
            error_kw={"elinewidth": 0.9, "capsize": 2},
        )
        ax.axvline(1, color="black", linewidth=0.8)
        ax.set_xscale("log")
        left, right = min(low.min(), 0.5) / 1.3, max(high.max(), 2) * 1.6
        ticks = [t for t in TICKS if left <= t <= right]
        ax.set_xticks(ticks, [f"{t:g}" for t in ticks])
        ax.minorticks_off()
        ax.set_xlim(left, right)
        for y, row, end in zip(place, rows, np.maximum(high, 1), strict=True):
            ax.text(end * 1.04, y, f"{row.ratio:.2f}", va="center", fontsize=6)
        ax.set_yticks(place, [row.name for row in rows])
        ax.set_ylim(-0.6, len(rows) - 0.4)
        ax.set_xlabel("ours / theirs (log scale; grey: ours is faster or smaller, hatched: slower)")
        table = {"name": np.array([row.name for row in rows]), "ratio": ratio, "low": low, "high": high}
        for key in ("ours_s", "theirs_s"):
            table[key] = np.array([np.nan if getattr(r, key) is None else getattr(r, key) for r in rows])
        save_figure(figure, folder, "ratios", table)
