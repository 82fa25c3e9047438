"""Reliability over training seeds
===============================

The points of each seed hollow, those of all predictions pooled on top.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from bisnn_pyro.analysis import plot_reliability_seeds

rng = np.random.default_rng(0)


def votes(sureness, n=1000, classes=10):
    """Probabilities and labels; calibrated where the sureness is 1."""
    scores = rng.normal(scale=2.0, size=(n, classes))
    p = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    labels = (p.cumsum(-1) > rng.random((n, 1))).argmax(-1)
    stated = np.exp(sureness * scores)
    return stated / stated.sum(-1, keepdims=True), labels


committee = [votes(rng.normal(1.0, 0.1)) for _ in range(5)]
straight_through = [votes(rng.normal(3.0, 0.4)) for _ in range(5)]
plot = plot_reliability_seeds({"committee": committee, "straight-through": straight_through})

folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
print(plot.save_png(folder / "reliability_seeds.png"))
