"""Natural parameters by layer
===========================

Where the posterior of binary synapses lies; the grey stretch holds the undecided ones.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from bisnn_pyro.analysis import plot_natural_parameters, summarise_posterior

rng = np.random.default_rng(0)
natural = {
    "hidden 1": rng.normal(scale=0.5, size=(64, 196)),
    "hidden 2": rng.normal(scale=0.9, size=(64, 64)),
    "read-out": rng.choice([-1.8, 1.8], size=(10, 64)) + rng.normal(scale=0.5, size=(10, 64)),
}
plot = plot_natural_parameters(summarise_posterior(natural))

folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
print(plot.save_png(folder / "natural_parameters.png"))
