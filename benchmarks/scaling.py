"""How time and memory grow with T, units, batch, members and threads, one at a time."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.child import measure
from benchmarks.nets import TWO_MOONS, Net

Point = dict[str, Any]

VALUES = {
    "steps": (25, 50, 100, 200, 400, 800),
    "units": (64, 128, 256, 512, 1024, 2048),
    "batch": (1, 4, 16, 64, 256, 1024),
    "draws": (1, 3, 10, 30, 100, 300, 1000),
}
LABELS = {
    "steps": "steps T",
    "units": "units per layer",
    "batch": "batch",
    "draws": "members S (100 points)",
}
THREADS = (1, 2)
QUANTITIES = ("seconds", "memory_mb")


def _net(axis: str, value: int, base: Net) -> Net:
    if axis == "steps":
        return replace(base, n_steps=value)
    if axis == "units":
        return replace(base, hidden=(value,) * len(base.hidden))
    return replace(base, batch=value) if axis == "batch" else base


def point(axis: str, value: int, n_threads: int, base: Net = TWO_MOONS, seconds: float = 2.0) -> Point:
    """Measure one point: a training step, or a prediction on the axis ``draws``."""
    task = "committee" if axis == "draws" else "step"
    draws = value if axis == "draws" else 1
    got = measure(
        task,
        _net(axis, value, base),
        draws=draws,
        n_threads=n_threads,
        seconds=seconds,
        warm=0 if axis == "draws" else 1,
    )
    grown = max(got["peak_mb"] - got["base_mb"], 0.0)
    return {"axis": axis, "value": value, "threads": n_threads, "memory_mb": grown, **got}


def exponent(x: list[float], y: list[float]) -> float | None:
    """Return the slope of log y over log x by least squares over the upper half of the points."""
    pairs = sorted((a, b) for a, b in zip(x, y, strict=True) if b > 0)
    pairs = pairs[len(pairs) // 2 :]
    if len(pairs) < 2:
        return None
    logs = np.log(np.array(pairs))
    return float(np.polyfit(logs[:, 0], logs[:, 1], 1)[0])


def exponents(points: list[Point]) -> list[dict[str, Any]]:
    """Return the fitted exponent of each axis, number of threads and quantity."""
    fits = []
    for axis, n_threads in dict.fromkeys((p["axis"], p["threads"]) for p in points):
        own = [p for p in points if (p["axis"], p["threads"]) == (axis, n_threads)]
        for quantity in QUANTITIES:
            slope = exponent([p["value"] for p in own], [p[quantity] for p in own])
            fits.append({"axis": axis, "threads": n_threads, "quantity": quantity, "exponent": slope})
    return fits


def measure_all(values: dict[str, tuple[int, ...]] | None = None) -> list[Point]:
    """Measure every point, each in a process of its own."""
    points = []
    for axis, column in (values or VALUES).items():
        for value in column:
            for n_threads in THREADS:
                points.append(point(axis, value, n_threads))
                print(_line(points[-1]), flush=True)
    return points


def _line(p: Point) -> str:
    where = f"{p['axis']} = {p['value']}, {p['threads']} threads"
    return f"  {where:32s} {p['seconds']:9.4f} s {p['memory_mb']:9.1f} MB above the process's own"


def save(points: list[Point], folder: Path) -> None:
    """Write ``scaling.json`` and the figure ``scaling``."""
    fits = exponents(points)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"points": points, "exponents": fits}, indent=2)
    (folder / "scaling.json").write_text(text + "\n", encoding="utf-8")
    draw(points, fits, folder)


def _at_least_a_decade(ax: Any) -> None:
    """Widen a log axis, so that noise about a constant does not look like a trend; plain tick labels."""
    from matplotlib.ticker import NullFormatter

    low, high = ax.get_ylim()
    spare = max(1.0, (10 * low / high) ** 0.5)
    ax.set_ylim(low / spare, high * spare)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_minor_formatter(NullFormatter())


def draw(points: list[Point], fits: list[dict[str, Any]], folder: Path) -> None:
    """Draw time (upper row) and memory (lower row) over each axis, with the exponents."""
    from bisnn_pyro.analysis import DOUBLE_WIDTH, line_style, new_figure, paper_style, save_figure

    axes_names = list(dict.fromkeys(p["axis"] for p in points))
    slopes = {(f["axis"], f["threads"], f["quantity"]): f["exponent"] for f in fits}
    with paper_style():
        figure = new_figure(DOUBLE_WIDTH, 4.2)
        grid = figure.subplots(len(QUANTITIES), len(axes_names), squeeze=False, sharex="col")
        for row, quantity in enumerate(QUANTITIES):
            for column, axis in enumerate(axes_names):
                ax = grid[row][column]
                for k, n_threads in enumerate(THREADS):
                    own = [p for p in points if (p["axis"], p["threads"]) == (axis, n_threads)]
                    if not own:
                        continue
                    slope = slopes[axis, n_threads, quantity]
                    label = f"{n_threads} thr., " + ("no fit" if slope is None else f"exp. {slope:.2f}")
                    ax.plot(
                        [p["value"] for p in own], [p[quantity] for p in own], label=label, **line_style(k)
                    )
                ax.set_xscale("log")
                ax.set_yscale("log")
                _at_least_a_decade(ax)
                ax.legend(fontsize=6)
                if row == len(QUANTITIES) - 1:
                    ax.set_xlabel(LABELS[axis])
            grid[row][0].set_ylabel("seconds" if quantity == "seconds" else "peak memory above start (MB)")
        columns = ("axis", "value", "threads", "seconds", "memory_mb", "base_mb", "peak_mb")
        table = {c: np.array([p[c] for p in points]) for c in columns}
        save_figure(figure, folder, "scaling", table)
