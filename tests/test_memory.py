"""Limits of memory: what is stated, what is refused, and what a lack of it is called."""

import errno
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import pytest
import torch

from bisnn_pyro.errors import ConfigError, DataError, ModelError
from bisnn_pyro.experiments import batch
from bisnn_pyro.experiments.fitted import load_run
from bisnn_pyro.experiments.resolve import preset_names
from bisnn_pyro.inference.requirements import Sizes, memory_needs, network_size
from bisnn_pyro.memory import check_memory, max_bytes, out_of_memory
from bisnn_pyro.models import CategoricalRate, Conv, Dense, SpikingGLM
from tests.experiments.changing import change_config


def test_the_limit_is_the_machine_or_the_variable(monkeypatch):
    monkeypatch.delenv("BISNN_MAX_BYTES", raising=False)
    assert 2**28 < max_bytes() < 2**50
    monkeypatch.setenv("BISNN_MAX_BYTES", "8e9")
    assert max_bytes() == 8_000_000_000
    check_memory({"little": 7.9e9}, "lower it")
    with pytest.raises(DataError, match=r"8\.1 GB .* much, and the limit is 8 GB: lower it"):
        check_memory({"much": 8e9, "little": 1e8}, "lower it", DataError)


@pytest.mark.parametrize(
    ("hidden", "image"),
    [
        ([5, 7], None),
        ([{"kind": "dense", "units": 6, "recurrent": True}, 4], None),
        ([{"kind": "conv", "channels": 3, "kernel": 3, "stride": 2, "padding": 1, "pool": 2}, 5], (1, 8, 8)),
    ],
)
def test_the_size_of_a_network_is_that_of_the_model(hidden, image):
    n_inputs = 64 if image else 9
    layers = [
        h
        if isinstance(h, int)
        else (Conv if h["kind"] == "conv" else Dense)(**{k: h[k] for k in h if k != "kind"})
        for h in hidden
    ]
    model = SpikingGLM(n_inputs, layers, CategoricalRate(3), image_shape=image, readout="trained")
    weights, units = network_size(Sizes(n_inputs, hidden, image, n_outputs=3))
    assert weights == sum(rows * columns for rows, columns in model.weight_shapes.values())
    assert units == sum(layer.n_units for layer in model.synapses)


@pytest.mark.parametrize("name", [n for n in preset_names() if n in ("mnist", "mnist-s2nn", "digits", "shd")])
def test_presets_fit_into_a_small_machine(name):
    for config in batch.plan(name, overrides=["data.path=x"] if name != "digits" else []):
        tables = config.to_dict()
        if any(isinstance(layer, dict) for layer in tables["network"]["hidden"]):
            continue
        n_steps = tables["encoder"].get("n_steps", 100)
        sizes = Sizes(784, tables["network"]["hidden"], None, 10, n_steps, 60_000, 15_000)
        assert sum(memory_needs(sizes).values()) < 8e9


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("network.hidden=[1000000000]", "network.hidden"),
        ("encoder.n_steps=1000000000", "n_steps"),
        ("predict.draws=1000000000", "predict.draws"),
        ("analysis.early_decisions=10", "BISNN_MAX_BYTES"),
    ],
)
def test_a_run_that_does_not_fit_is_refused_and_writes_nothing(source, tmp_path, monkeypatch, key, words):
    monkeypatch.setenv("BISNN_MAX_BYTES", "1e5" if "early" in key else "8e9")
    with pytest.raises(ConfigError, match=words):
        batch.run(change_config(source, key), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_stored_config_of_a_giant_is_refused(spoilt):
    path = spoilt / "config.toml"
    path.write_text(path.read_text().replace("hidden = [\n    8,", "hidden = [\n    10000000000,"))
    assert "10000000000" in path.read_text()
    with pytest.raises((ConfigError, ValueError), match=r"limit|changed|edited|manifest"):
        load_run(spoilt)


def test_a_giant_committee_is_refused(tiny_run):
    fitted = load_run(tiny_run.path)
    fitted.config = fitted.config.replace("predict.draws", 10**12)
    with pytest.raises(ModelError, match="votes of 1000000000000 members"):
        fitted.predict(np.zeros((3, 2)))


def test_jobs_take_memory_too(monkeypatch):
    monkeypatch.setenv("BISNN_MAX_BYTES", "1e9")
    with pytest.raises(ConfigError, match=r"10 processes.*--jobs"):
        next(batch.each(abs, list(range(10)), jobs=10**9))


def torch_lacks():
    try:
        torch.empty(2**60)
    except RuntimeError as error:
        return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "out of memory"),
        (np._core._exceptions._ArrayMemoryError((10**9,), np.dtype(float)), "Unable to allocate"),
        (torch_lacks(), "out of memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "out of memory"),
        (BrokenProcessPool(), "fewer --jobs"),
    ],
)
def test_a_lack_of_memory_is_a_message(error, words, bisnn, monkeypatch):
    assert words in out_of_memory(error)

    def fail(*arguments, **settings):
        raise error

    monkeypatch.setattr("bisnn_pyro.experiments.batch.plan", fail)
    done = bisnn("run", "two-moons")
    assert done.returncode == 1
    assert words in done.stderr
    assert "internal error" not in done.stderr


def test_other_errors_are_not_a_lack_of_memory():
    assert out_of_memory(RuntimeError("shapes")) is None
    assert out_of_memory(OSError(errno.ENOSPC, "full")) is None


@pytest.mark.parametrize("text", ["0-99999999999", "0-" + "9" * 400, str(2**63)])
def test_seeds_beyond_the_limit_are_refused(text):
    with pytest.raises(ConfigError, match="at most 10000 seeds"):
        batch.parse_seeds(text)


def test_a_large_seed_trains_and_is_read_back(config, tmp_path):
    from dataclasses import replace

    large = replace(config.replace("predict.seed", 2**63 - 1).replace("data.seed", 2**63 - 1), seed=2**63 - 1)
    found = batch.run(large, tmp_path)
    assert load_run(found.path).config.seed == 2**63 - 1
