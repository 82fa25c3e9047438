"""What an inference costs
=======================

Spikes, synaptic operations and bits of weights, as ``bisnn_pyro.experiments.energy`` gives them.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from bisnn_pyro.analysis import plot_cost_bars

rng = np.random.default_rng(0)
synapses, firing = 16_640, rng.gamma(100.0, 0.06)
spikes = 128 * firing
operations = 64 * spikes + 1.2e5
costs = {
    "mode": {"spikes": spikes, "synaptic_ops": operations, "weight_bits": synapses},
    "committee of 20": {"spikes": 20 * spikes, "synaptic_ops": 20 * operations, "weight_bits": 20 * synapses},
    "32-bit weights": {"spikes": spikes, "synaptic_ops": operations, "weight_bits": 32 * synapses},
    "32-bit, no spikes": {"spikes": None, "synaptic_ops": synapses, "weight_bits": 32 * synapses},
}
plot = plot_cost_bars(costs)

folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
print(plot.save_png(folder / "cost_bars.png"))
