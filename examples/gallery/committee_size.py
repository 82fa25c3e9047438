"""Size of the committee
=====================

NLL and calibration error against the number of members, with the range of random committees.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from bisnn_pyro.analysis import committee_size_scores, plot_committee_size

rng = np.random.default_rng(0)
n_members, n_points, n_classes = 50, 300, 5
labels = rng.integers(n_classes, size=n_points)
shared = 2.0 * np.eye(n_classes)[labels] + rng.normal(scale=1.2, size=(n_points, n_classes))


def members(own):
    scores = shared + rng.normal(scale=own, size=(n_members, n_points, n_classes))
    return np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)


curves = {
    "binary synapses": committee_size_scores(members(1.5), labels),
    "Gaussian synapses": committee_size_scores(members(0.8), labels),
}
plot = plot_committee_size(curves, ("nll", "ece"))

folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
print(plot.save_png(folder / "committee_size.png"))
