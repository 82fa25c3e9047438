"""Priors over a layer's synapses."""

import math

import pyro.distributions as dist
import pytest
import torch

from bisnn_pyro.distributions import SignBernoulli
from bisnn_pyro.errors import ModelError
from bisnn_pyro.models import BinaryPrior, NormalPrior


@pytest.mark.parametrize("p", [0.5, 0.1, 0.999])
def test_binary(p):
    prior = BinaryPrior(p)
    site = prior.distribution((3, 4))
    assert prior.binary
    assert site.batch_shape == ()
    assert site.event_shape == (3, 4)
    assert type(site.base_dist) is SignBernoulli
    assert float(site.base_dist.probs.flatten()[0]) == pytest.approx(p)
    assert float(site.log_prob(torch.ones(3, 4))) == pytest.approx(12 * math.log(p), rel=1e-5)


def test_normal():
    prior = NormalPrior(0.5)
    site = prior.distribution((3, 4))
    assert not prior.binary
    assert site.event_shape == (3, 4)
    w = torch.randn(3, 4)
    torch.testing.assert_close(site.log_prob(w), dist.Normal(0.0, 0.5).log_prob(w).sum())


@pytest.mark.parametrize("prior", [BinaryPrior(0.3), NormalPrior(2.0)])
def test_follows_the_models_precision(prior):
    assert prior.double().distribution((2, 2)).sample().dtype == torch.float64


@pytest.mark.parametrize("p", [0.0, 1.0, -0.1, math.nan])
def test_bad_probability(p):
    with pytest.raises(ModelError, match="prior p"):
        BinaryPrior(p)


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan, math.inf])
def test_bad_scale(scale):
    with pytest.raises(ModelError, match="prior scale"):
        NormalPrior(scale)
