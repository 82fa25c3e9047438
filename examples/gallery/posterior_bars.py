"""KL and undecided synapses by layer
==================================

How much of each layer's posterior is still the prior.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from bisnn_pyro.analysis import plot_posterior_bars, summarise_posterior

rng = np.random.default_rng(0)
shapes = {"hidden 1": (64, 196), "hidden 2": (64, 64), "read-out": (10, 64)}
runs = {
    f"KL weight {weight:g}": summarise_posterior(
        {
            name: rng.normal(scale=0.6 / weight**0.5 * (k + 1), size=shape)
            for k, (name, shape) in enumerate(shapes.items())
        }
    )
    for weight in (0.3, 1.0, 3.0)
}
plot = plot_posterior_bars(runs)

folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
print(plot.save_png(folder / "posterior_bars.png"))
