"""Event recordings, one folder per class: look at them, train a committee, and see how early it decides."""

import csv
import tempfile
from pathlib import Path

import numpy as np

import bisnn_pyro
from bisnn_pyro.data import inspect_recordings

SIDE, DURATION = 16, 100_000  # pixels, microseconds
DIRECTIONS = {"right": (1, 0), "left": (-1, 0), "down": (0, 1), "up": (0, -1)}


def moving_bar(direction: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A bar that crosses the sensor: ON events at its front, OFF events at its back, noise everywhere."""
    n = 300
    t = np.sort(rng.integers(0, DURATION, n))
    p = rng.integers(0, 2, n)
    along = SIDE * t // DURATION + rng.integers(-3, 4) + 2 * p - 1
    if min(direction) < 0:
        along = SIDE - 1 - along
    across = rng.integers(0, SIDE, n)
    x, y = (along, across) if direction[0] else (across, along)
    noise = rng.random(n) < 0.2
    x, y = (np.where(noise, rng.integers(0, SIDE, n), z) for z in (x, y))
    seen = (x >= 0) & (x < SIDE) & (y >= 0) & (y < SIDE)
    return np.stack([t, x, y, p], axis=1)[seen]  # microseconds, column, row, 1 for ON


root = Path(tempfile.mkdtemp()) / "bars"
rng = np.random.default_rng(0)
for name, direction in DIRECTIONS.items():
    (root / name).mkdir(parents=True)
    for k in range(30):
        np.save(root / name / f"{k:02d}.npy", moving_bar(direction, rng))

print(inspect_recordings(root).summary())  # bisnn data inspect DIR

config = bisnn_pyro.load_preset(
    "poker-dvs",
    method="bayes",
    data={"name": "events", "path": str(root), "time_step": 5.0, "n_steps": 20, "cache": False},
    augment={"shift": 1},
    network={"hidden": [{"kind": "conv", "channels": 8, "kernel": 5, "pool": 4}, 32], "burn_in": 2},
    train={"epochs": 20, "validation_draws": 4},
    predict={"draws": 20},
    analysis={"early_decisions": 6, "figures": False},
)
result = bisnn_pyro.run(config, tempfile.mkdtemp())

print(f"\nthe committee's vote on {result.metrics['n_test']} test recordings, as time goes by:")
with (result.path / "figures" / "early_decisions.csv").open(newline="") as file:
    for row in csv.DictReader(file):
        if row["predictor"] == "committee":
            accuracy, nll = float(row["accuracy"]), float(row["nll"])
            print(f"  after {float(row['time_ms']):5.0f} ms: accuracy {accuracy:.2f}, NLL {nll:.2f}")
