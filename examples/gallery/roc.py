"""Out-of-distribution inputs: ROC curves
======================================

How well a score of uncertainty detects out-of-distribution inputs.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from bisnn_pyro.analysis import plot_roc

rng = np.random.default_rng(0)
inside = rng.gamma(1.0, 0.3, size=1000)
outside = {
    "mutual information": rng.gamma(5.0, 0.3, size=800),
    "entropy of the mode": rng.gamma(2.0, 0.3, size=800),
}
plot = plot_roc({name: (inside, scores) for name, scores in outside.items()})

folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
print(plot.save_png(folder / "roc.png"))
