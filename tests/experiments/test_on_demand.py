"""A run on inputs that are read on demand: the bits of a run from memory, and never all of them at once."""

from dataclasses import replace

import numpy as np
import pytest

import bisnn_pyro
from bisnn_pyro.data import Split, task as task_module
from bisnn_pyro.experiments import run as run_module
from bisnn_pyro.experiments.build import build_task
from bisnn_pyro.experiments.run import run
from bisnn_pyro.inference import inputs
from tests.experiments.spikes import N_STEPS, SHAPE, spikes_configs
from tests.inference.on_demand import OnDemand

OVERRIDES = ["network.normalise=true", "train.reference_size=5", "analysis.early_decisions=2"]


@pytest.fixture
def on_demand(monkeypatch):
    """Let every task hold its splits on demand; return them by name."""
    splits = {}

    def build(config, trust=False):
        task = build_task(config, trust=trust)
        for name in ("train", "val", "test"):
            splits[name] = OnDemand(getattr(task, name).x)
        monkeypatch.setattr(task_module.Task, "__post_init__", lambda self: None)
        return replace(task, **{k: Split(x, getattr(task, k).y) for k, x in splits.items()})

    monkeypatch.setattr(run_module, "build_task", build)
    return splits


@pytest.mark.parametrize("kept", [True, False])
def test_same_bits_and_what_is_read(tmp_path, on_demand, monkeypatch, kept):
    monkeypatch.setattr(inputs, "_READ_BYTES", 4 * N_STEPS * int(np.prod(SHAPE)))
    if not kept:
        monkeypatch.setattr(inputs.EncodedBlocks.__init__, "__defaults__", (1,))
    (config,) = spikes_configs(tmp_path, overrides=OVERRIDES)
    lazily = run(config, tmp_path / "lazily")
    asked = {name: list(x.asked) for name, x in on_demand.items()}
    monkeypatch.undo()
    at_once = run(config, tmp_path / "at-once")
    assert lazily.metrics["predictors"] == at_once.metrics["predictors"]
    assert lazily.metrics["spikes_per_inference"] == at_once.metrics["spikes_per_inference"]
    for name in ("posterior.safetensors", "figures/early_decisions.csv"):
        assert (lazily.path / name).read_bytes() == (at_once.path / name).read_bytes()
    # One example to initialise, the reference batch, three epochs of batches, the committee on all 30;
    # 30 again to see whether all inputs are alike, since nothing was learned.
    assert asked["train"] == [1, 5, *([8, 8, 8, 6] * 3), *([4] * 7), 2, 30]
    blocks = [4, 4, 4, 4, 4, 1]
    if kept:
        assert asked["val"] == [4, 4, 1] * 2  # at last once more: nothing was learned
        assert asked["test"] == blocks * 2  # the predictions, and the spikes per inference
    else:
        assert asked["val"] == [4, 4, 1] * (3 + 4)
        assert asked["test"] == blocks * (4 + 7)  # four predictors; four members, mode, mean, pruned


def test_python_callers_may_give_recordings_too(tmp_path):
    (config,) = spikes_configs(tmp_path)
    posterior = bisnn_pyro.load_run(run(config, tmp_path).path)
    x = build_task(config).test.x
    np.testing.assert_array_equal(posterior.predict(OnDemand(x)).draws, posterior.predict(x).draws)
    with pytest.raises(bisnn_pyro.errors.DataError, match="expected spikes"):
        posterior.predict(OnDemand(x[:, :5]))
