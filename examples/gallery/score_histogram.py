"""Out-of-distribution inputs: histograms
======================================

The predictive entropy of test inputs and of out-of-distribution inputs.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from bisnn_pyro.analysis import plot_score_histogram

rng = np.random.default_rng(0)
log_classes = np.log(10)
entropies = {"digits": log_classes * rng.beta(1, 8, 1000), "letters": log_classes * rng.beta(4, 3, 800)}
plot = plot_score_histogram(entropies)

folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
print(plot.save_png(folder / "score_histogram.png"))
