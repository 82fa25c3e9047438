"""Calibration curves without bins
===============================

Isotonic regression of right and wrong on the confidence, with the band of calibrated predictors.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from bisnn_pyro.analysis import plot_calibration_curve

rng = np.random.default_rng(0)


def votes(sureness, n=600, classes=10):
    """Probabilities and labels; calibrated where the sureness is 1."""
    scores = rng.normal(scale=2.0, size=(n, classes))
    p = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    labels = (p.cumsum(-1) > rng.random((n, 1))).argmax(-1)
    stated = np.exp(sureness * scores)
    return stated / stated.sum(-1, keepdims=True), labels


plot = plot_calibration_curve({"committee": votes(1.0), "straight-through": votes(3.0)})

folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
print(plot.save_png(folder / "calibration_curve.png"))
