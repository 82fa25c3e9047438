"""The noisy-Dirichlet likelihood against closed forms and quadrature."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm

from bisnn_pyro.errors import ModelError
from bisnn_pyro.models import NoisyDirichlet, NoisyDirichletLabels, log_gamma_moments


@pytest.mark.parametrize("alpha", [1e-6, 0.01, 0.3, 1.01, 20.0])
def test_the_log_normal_has_the_moments_of_the_gamma(alpha):
    m, v = log_gamma_moments(torch.tensor(alpha, dtype=torch.float64))
    mean = math.exp(m + v / 2)
    assert mean == pytest.approx(alpha, rel=1e-9)
    assert math.expm1(v) * mean**2 == pytest.approx(alpha, rel=1e-9)  # a Gamma's variance is its shape


@pytest.mark.parametrize(("noise", "nats"), [(1e-6, 140), (1e-2, 47)])
def test_what_a_label_carries(noise, nats):
    """The log-likelihood of logits that fit, minus that of logits of 0, with 10 classes."""
    y = torch.tensor([3])
    best, _ = log_gamma_moments(torch.nn.functional.one_hot(y, 10).double() + noise)
    fit = NoisyDirichletLabels(best, noise).log_prob(y)
    none = NoisyDirichletLabels(torch.zeros_like(best), noise).log_prob(y)
    assert float(fit - none) == pytest.approx(nats, abs=0.5)
    step = torch.randn(100, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert bool((NoisyDirichletLabels(best + step, noise).log_prob(y) < fit).all())


def test_score_and_normalisation():
    """Class by class a normal density of the logit, by an independent library and by quadrature."""
    noise, logits = 0.05, np.array([-0.3, -5.0, 2.0])
    likelihood = NoisyDirichlet(3, noise=noise).double()
    for y in range(3):
        alpha = np.full(3, noise) + np.eye(3)[y]
        v = np.log(1 / alpha + 1)
        m = np.log(alpha) - v / 2
        readout = torch.tensor(logits).expand(1, 4, 3)
        score = float(likelihood.log_prob(readout, torch.tensor([y])).detach())
        assert score == pytest.approx(norm.logpdf(logits, m, np.sqrt(v)).sum(), rel=1e-12)
        total = 1.0
        for c in range(3):
            others = norm.logpdf(m, m, np.sqrt(v)).sum() - norm.logpdf(m[c], m[c], np.sqrt(v[c]))

            def density(f, y=y, c=c, m=m, others=others):
                moved = torch.tensor(np.where(np.arange(3) == c, f, m))
                return math.exp(float(NoisyDirichletLabels(moved, noise).log_prob(torch.tensor(y))) - others)

            total *= quad(density, m[c] - 12 * math.sqrt(v[c]), m[c] + 12 * math.sqrt(v[c]))[0]
        assert total == pytest.approx(1, abs=1e-6)


def test_prediction_with_gain_and_offset():
    likelihood = NoisyDirichlet(3).double()
    with torch.no_grad():
        likelihood.gain, likelihood.offset = torch.tensor([2.0, 1.0, 0.5]), torch.tensor([0.0, -1.0, 3.0])
    readout = torch.randn(2, 5, 7, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    logits = readout.mean(-2).numpy() * [2, 1, 0.5] + [0, -1, 3]
    expected = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(likelihood.predict(readout).detach().numpy(), expected, rtol=1e-6)


def test_labels_are_drawn_in_proportion_to_their_density():
    """10,000 draws, four standard errors: a false alarm in 1 of 5,000 runs, and the seed is fixed."""
    torch.manual_seed(0)
    site = NoisyDirichletLabels(torch.tensor([-3.0, -3.4, -3.2]), 0.01)
    p = torch.softmax(torch.stack([site.log_prob(torch.tensor(k)) for k in range(3)]), 0)
    share = torch.bincount(site.sample((10_000,)), minlength=3) / 10_000
    assert float(p.min()) > 0.05
    assert bool(((share - p).abs() < 4 * (p * (1 - p) / 10_000).sqrt()).all())


def test_fits_gain_and_offset_by_gradient():
    """With fixed separable read-outs, Adam brings the logits near their targets."""
    likelihood = NoisyDirichlet(2)
    readout, y = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]]), torch.tensor([0, 1])
    before = float(likelihood.log_prob(readout, y).mean().detach())
    adam = torch.optim.Adam(likelihood.parameters(), 0.1)
    for _ in range(300):
        adam.zero_grad()
        (-likelihood.log_prob(readout, y).mean()).backward()
        adam.step()
    best, _ = log_gamma_moments(torch.eye(2) + 0.01)
    reached = NoisyDirichletLabels(best, 0.01).log_prob(y).mean()
    after = float(likelihood.log_prob(readout, y).mean().detach())
    assert after == pytest.approx(float(reached), abs=0.05)
    assert after > before + 5


@pytest.mark.parametrize("noise", [0.0, -1.0, math.nan, math.inf])
def test_bad_noise(noise):
    with pytest.raises(ModelError, match="likelihood noise"):
        NoisyDirichlet(3, noise=noise)
