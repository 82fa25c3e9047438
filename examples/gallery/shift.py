"""Behaviour under shift
=====================

Accuracy against the severity of a shift, with intervals over training seeds.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from bisnn_pyro.analysis import plot_shift

rng = np.random.default_rng(0)
noise = np.array([0.0, 0.05, 0.1, 0.2, 0.3, 0.4])


def accuracy(slope, seeds=5):
    return 0.95 - slope * noise**1.3 + rng.normal(scale=0.012, size=(seeds, len(noise)))


methods = {"committee": accuracy(0.8), "mode": accuracy(1.0), "straight-through": accuracy(1.4)}
plot = plot_shift(noise, methods, severity_name="share of events dropped", score_name="accuracy")

folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
print(plot.save_png(folder / "shift.png"))
