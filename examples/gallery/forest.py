"""Predictors side by side
=======================

Mean and interval of each score over training seeds, each seed as a hollow dot.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from bisnn_pyro.analysis import plot_forest

rng = np.random.default_rng(0)
truth = {
    "bayes: committee": (0.952, 0.16, 0.012),
    "bayes: mode": (0.938, 0.24, 0.031),
    "bayes: mean": (0.948, 0.18, 0.018),
    "straight-through": (0.944, 0.27, 0.038),
    "straight-through, scaled": (0.944, 0.19, 0.015),
    "full precision": (0.958, 0.20, 0.029),
}
scores = {
    name: {
        "accuracy": accuracy + rng.normal(scale=0.004, size=5),
        "nll": nll * rng.normal(1.0, 0.06, size=5),
        "ece": ece * rng.normal(1.0, 0.15, size=5),
    }
    for name, (accuracy, nll, ece) in truth.items()
}
plot = plot_forest(scores)

folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
print(plot.save_png(folder / "forest.png"))
