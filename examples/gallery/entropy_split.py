"""What uncertainty is made of
===========================

Expected entropy and mutual information, right and wrong predictions apart.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from bisnn_pyro.analysis import plot_entropy_split

rng = np.random.default_rng(0)
n_members, n_points, n_classes = 20, 1500, 4
labels = rng.integers(n_classes, size=n_points)
ease = rng.gamma(4.0, 1.0, size=(n_points, 1))
scores = ease * np.eye(n_classes)[labels] + rng.normal(scale=1.3, size=(n_points, n_classes))
scores = scores + rng.normal(scale=0.8, size=(n_members, n_points, n_classes))
draws = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
plot = plot_entropy_split(draws, labels)

folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
print(plot.save_png(folder / "entropy_split.png"))
