"""Intervals between spikes
========================

Observed intervals against those of trains simulated from the posterior.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from bisnn_pyro.analysis import interval_counts, plot_interval_histogram

rng = np.random.default_rng(0)
n_steps, n_trains, n_units = 80, 20, 8
observed = rng.random((n_steps, n_trains, n_units)) < 0.12
observed[1:] &= ~observed[:-1]  # refractory: never twice in a row, which the model does not know
draws = [rng.random(observed.shape) < 0.115 * rng.normal(1.0, 0.05) for _ in range(50)]
predictive = np.array([interval_counts(spikes).sum(1) for spikes in draws])
plot = plot_interval_histogram(interval_counts(observed).sum(1), predictive, step_ms=1.0)

folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
print(plot.save_png(folder / "interval_histogram.png"))
