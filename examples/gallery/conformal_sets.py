"""Conformal prediction sets
=========================

Whether sets of classes hold the label as often as promised, and how large they are.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from bisnn_pyro.analysis import conformal_sets, conformal_threshold, plot_conformal_sets

rng = np.random.default_rng(0)
n_points, n_classes, level = 1000, 10, 0.9
labels = rng.integers(n_classes, size=2 * n_points)
calibration, test = slice(n_points), slice(n_points, None)


def votes(noise):
    scores = 4.0 * np.eye(n_classes)[labels] + rng.normal(scale=noise, size=(2 * n_points, n_classes))
    return np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)


sets = {}
for name, noise in {"committee": 1.6, "mode": 2.0, "straight-through": 2.6}.items():
    p = votes(noise)
    threshold = conformal_threshold(p[calibration], labels[calibration], level)
    sets[name] = conformal_sets(p[test], threshold)
plot = plot_conformal_sets(sets, labels[test], level)

folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
print(plot.save_png(folder / "conformal_sets.png"))
