"""Risk and coverage
=================

The error rate of the points kept, when the least confident are withheld.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from bisnn_pyro.analysis import plot_risk_coverage

rng = np.random.default_rng(0)
n = 2000
difficulty = rng.random(n)
wrong = rng.random(n) < 0.4 * difficulty**2
# Confidences that know more or less of the difficulty.
predictors = {
    name: (-difficulty + rng.normal(scale=noise, size=n), wrong.astype(float))
    for name, noise in {"committee": 0.1, "mode": 0.5, "straight-through": 1.5}.items()
}
plot = plot_risk_coverage(predictors)

folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
print(plot.save_png(folder / "risk_coverage.png"))
