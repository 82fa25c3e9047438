"""Validation by hard draws: the mixture's score, with the same noise every time."""

import math

import numpy as np
import pytest
import torch

from bisnn_pyro.inference import (
    AutoMeanFieldGaussian,
    AutoRelaxedSign,
    AutoStraightThrough,
    posterior_draws,
    predict,
)
from bisnn_pyro.inference.seeding import Purpose, derived_seed
from bisnn_pyro.inference.updates import FLOOR, validate
from bisnn_pyro.models import NormalPrior
from tests.inference.tiny import make_network, make_spikes, make_targets


def setting(likelihood="categorical-rate", kind=AutoRelaxedSign, **options):
    net = make_network(likelihood, gain=2.0, **options)
    guide = kind(net)
    spikes, y = make_spikes(n=9), make_targets(likelihood, 9)
    guide.initialize(spikes, y)
    return net, guide, spikes, y


@pytest.mark.parametrize("likelihood", ["categorical-rate", "bernoulli-steps", "spike-train"])
def test_classification(likelihood):
    net, guide, spikes, y = setting(likelihood)
    scores = validate(net, guide, [spikes], y, n_draws=7, seed=3)
    seed = derived_seed(3, Purpose.VALIDATION)
    draws = predict(net, posterior_draws(guide, seed), [spikes], n_draws=7, seed=seed).draws
    of_truth = draws.mean(0)[np.arange(9), y.numpy()]
    assert scores["val_nll"] == pytest.approx(-np.log(of_truth).mean(), rel=1e-6)
    assert scores["val_accuracy"] == pytest.approx((draws.mean(0).argmax(-1) == y.numpy()).mean())
    assert set(scores) == {"val_nll", "val_accuracy"}


def test_regression():
    net, guide, spikes, y = setting("gaussian", AutoMeanFieldGaussian, prior=NormalPrior())
    scores = validate(net, guide, [spikes], y, n_draws=7, seed=3)
    seed = derived_seed(3, Purpose.VALIDATION)
    draws = predict(net, posterior_draws(guide, seed), [spikes], n_draws=7, seed=seed).draws
    z = (y.double().numpy() - draws) / 0.5
    density = np.exp(-0.5 * z**2) / (0.5 * math.sqrt(2 * math.pi))
    assert scores["val_nll"] == pytest.approx(-np.log(density.mean(0)).mean(), rel=1e-6)
    rmse = np.sqrt(((draws.mean(0) - y.numpy()) ** 2).mean())
    assert scores["val_rmse"] == pytest.approx(rmse, rel=1e-5)
    assert set(scores) == {"val_nll", "val_rmse"}


def test_same_noise_every_time_and_no_side_effects():
    net, guide, spikes, y = setting()
    net.train()
    guide.train()
    state = torch.get_rng_state()
    first = validate(net, guide, [spikes], y, n_draws=3, seed=0)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(3)
    assert validate(net, guide, [spikes], y, n_draws=3, seed=0) == first
    assert validate(net, guide, [spikes], y, n_draws=3, seed=1) != first
    assert net.training
    assert guide.training


def test_soft_weights_do_not_vote():
    # A guide near lambda = 0 in train mode: still the average over hard networks.
    net, guide, spikes, y = setting()
    guide.train()
    soft = validate(net, guide, [spikes], y, n_draws=4, seed=0)
    guide.eval()
    assert validate(net, guide, [spikes], y, n_draws=4, seed=0) == soft


def test_one_sure_mistake_cannot_hide_the_rest():
    net, guide, spikes, _ = setting(kind=AutoStraightThrough, readout_gain=1e4)
    draws = predict(net, posterior_draws(guide, 0), [spikes], n_draws=1).draws[0]
    wrong = torch.from_numpy(draws.argmin(-1))
    scores = validate(net, guide, [spikes], wrong, n_draws=1, seed=0)
    assert scores["val_nll"] <= -FLOOR
    assert scores["val_nll"] > 20
    assert scores["val_accuracy"] == 0
