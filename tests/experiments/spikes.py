"""A tiny experiment on ready spikes from a file: three classes that differ in where and when they spike."""

import numpy as np

from bisnn_pyro.experiments.batch import plan

N_STEPS, SHAPE = 12, (2, 4, 3)

TOML = """
experiment = "spikes"
methods = ["bayes", "straight-through"]
[data]
name = "npz"
path = "{path}"
[network]
hidden = [8]
burn_in = 2
gain = 3.0
[train]
epochs = 3
batch_size = 8
validation_draws = 3
[predict]
draws = 4
[analysis]
figures = false
[method.bayes.rule]
lr = 0.05
"""


def write_spikes(path, seed=0):
    """Write 30, 9 and 21 recordings; class k spikes more at pixels of row k, and more so later on."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for part, n in (("train", 30), ("val", 9), ("test", 21)):
        y = np.arange(n) % 3
        rate = np.full((n, N_STEPS, *SHAPE), 0.15)
        for k in range(3):
            rate[y == k, :, :, k] += np.linspace(0.05, 0.5, N_STEPS)[None, :, None, None]
        arrays[f"x_{part}"] = (rng.random(rate.shape) < rate).astype(np.uint8)
        arrays[f"y_{part}"] = y
    np.savez(path, **arrays)


def spikes_configs(tmp_path, methods=("bayes",), overrides=(), seeds=(None,)):
    """Write data and config, and return the resolved configs."""
    write_spikes(tmp_path / "spikes.npz")
    source = tmp_path / "spikes.toml"
    source.write_text(TOML.format(path=tmp_path / "spikes.npz"))
    return plan(str(source), list(methods), seeds, list(overrides))
