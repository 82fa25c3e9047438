"""Runs whose guide is a posterior of a straight-through net, by its name in a config."""

import numpy as np
import pytest
import torch

import bisnn_pyro
from bisnn_pyro.errors import ModelError, RunFolderError
from bisnn_pyro.experiments.run import run
from bisnn_pyro.exports import export
from bisnn_pyro.results.studies.posterior import layer_posteriors
from tests.experiments.changing import change_config

GUIDES = {
    "flips": ["guide.kappa=1.0"],
    "scaled-latents": ["guide.scale=2.0"],
    "sign-swag": [],
    "laplace": ["guide.temperature=2.0"],
    "checkpoints": ["guide.snapshots=3"],
    "dropout": ["guide.rate=0.2"],
    "last-layer": ["guide.init_scale=0.5", "network.readout=trained"],
}


def config_of(source, name, *overrides):
    own = [f"method.{name}.guide.name={name}", "train.restore_best=false", "analysis.figures=false"]
    return change_config(source, *own, *GUIDES[name], *overrides, method=name)


@pytest.mark.parametrize("name", GUIDES)
def test_a_run_and_its_posterior_read_back(source, name, tmp_path):
    config = config_of(source, name)
    assert (config.prior.name, config.rule.name) == ("binary", "adam")
    result = run(config, tmp_path)
    assert list(result.metrics["predictors"])[:3] == ["committee", "mode", "mean"]
    fitted = bisnn_pyro.load_run(result.path)
    x = np.random.default_rng(0).random((6, 2))
    same = bisnn_pyro.load_run(result.path).predict(x)
    assert np.array_equal(fitted.predict(x).draws, same.draws)
    assert len(fitted.predict(x).draws) == 4
    assert fitted.predict(x).path == ("dense" if name == "dropout" else "packed")
    natural = fitted.guide.natural_parameters()
    assert all(torch.equal(w >= 0, fitted.guide.mode()[site] > 0) for site, w in natural.items())


def test_laplace_knows_the_batch_and_the_data(source, tmp_path):
    """The tiny experiment has 24 examples, 8 per batch; the last quarter of 9 batches are 2 of them."""
    fitted = bisnn_pyro.load_run(run(config_of(source, "laplace"), tmp_path).path)
    assert fitted.guide.batch_size == 8
    assert int(fitted.guide.n_examples) == 24
    assert int(fitted.guide.count) == 1  # the gradient of the very last batch still waits
    assert bool(fitted.guide.waiting)


def test_dropout_exports_its_mode_and_no_member(source, tmp_path):
    folder = run(config_of(source, "dropout"), tmp_path).path
    assert bisnn_pyro.read_export(export(folder, tmp_path / "net.bisnn")).n_bytes > 0
    with pytest.raises(RunFolderError, match="other weights than"):
        export(folder, member=0)
    with pytest.raises(ModelError, match="all of them are certain"):
        layer_posteriors(bisnn_pyro.load_run(folder))


@pytest.mark.parametrize("name", ["sign-swag", "laplace", "checkpoints"])
@pytest.mark.parametrize("override", ["train.restore_best=true", "train.patience=2"])
def test_what_is_gathered_at_the_end_needs_the_end(source, name, override):
    with pytest.raises(ModelError, match=r"set train\.restore_best = false"):
        config_of(source, name, override)


def test_early_epochs_of_the_others_may_be_restored(source):
    for name in ("flips", "scaled-latents", "dropout", "last-layer"):
        assert config_of(source, name, "train.restore_best=true").train.restore_best


def test_the_last_layer_needs_a_trained_read_out(source, tmp_path):
    with pytest.raises(ModelError, match=r"network\.readout = 'trained'"):
        run(config_of(source, "last-layer", "network.readout=random"), tmp_path)
