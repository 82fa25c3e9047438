"""Sweeps of a hyperparameter
==========================

NLL against the weight of the KL on a logarithmic axis; the line at 1 is Bayes' rule as it stands.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from bisnn_pyro.analysis import plot_sweep

rng = np.random.default_rng(0)
weights = np.logspace(-2, 1, 7)


def nll(best, depth, seeds=5):
    return 0.3 + depth * np.log10(weights / best) ** 2 + rng.normal(scale=0.01, size=(seeds, len(weights)))


plot = plot_sweep(weights, {"committee": nll(0.3, 0.05), "mode": nll(0.05, 0.08)})

folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
print(plot.save_png(folder / "sweep.png"))
