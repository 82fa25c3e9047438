"""Spike rasters
=============

Which unit fired when, layer by layer.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from bisnn_pyro.analysis import plot_spike_raster

rng = np.random.default_rng(0)
rates = 0.06 + 0.05 * np.sin(np.arange(80) / 6)[:, None]
layers = {
    "input": rng.random((80, 40)) < rates,
    "hidden": rng.random((80, 24)) < rates * rng.gamma(2.0, 0.7, size=24),
    "output": rng.random((80, 4)) < [0.02, 0.02, 0.25, 0.04],
}
plot = plot_spike_raster(layers, step_ms=1.0)

folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
print(plot.save_png(folder / "spike_raster.png"))
