"""The Gaussian likelihood and its learned noise scale."""

import copy
import math

import pytest
import torch

from bisnn_pyro.errors import ModelError
from bisnn_pyro.models import Gaussian, SpikingGLM, Window

F64 = torch.float64


@pytest.mark.parametrize("draws", [(), (3,), (2, 3)])
def test_log_prob_is_the_formula(draws):
    torch.manual_seed(0)
    r, y = torch.randn(*draws, 4, 6, 1, dtype=F64), torch.randn(4, dtype=F64)
    likelihood = Gaussian(0.7).double()
    mean = r.mean(-2)[..., 0]
    expected = -0.5 * ((y - mean) / 0.7) ** 2 - math.log(0.7) - 0.5 * math.log(2 * math.pi)
    # The scale starts from a float32 number.
    torch.testing.assert_close(likelihood.log_prob(r, y), expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(likelihood.predict(r), mean)
    weighted = likelihood.log_prob(r, y, Window(fraction=0.25))
    torch.testing.assert_close(weighted, 0.25 * likelihood.log_prob(r, y))


def test_scale_is_learned_to_the_spread_of_the_residuals():
    torch.manual_seed(0)
    r, y = torch.zeros(4, 3, 1), torch.tensor([-0.3, 0.1, 0.2, -0.6])
    likelihood = Gaussian(0.3)
    assert float(likelihood.noise_scale.detach()) == pytest.approx(0.3)
    optimiser = torch.optim.Adam(likelihood.parameters(), lr=0.05)
    for _ in range(300):
        optimiser.zero_grad()
        (-likelihood.log_prob(r, y).sum()).backward()
        optimiser.step()
    # The maximum-likelihood scale is the residuals' root mean square.
    assert float(likelihood.noise_scale.detach()) == pytest.approx(float(y.square().mean().sqrt()), rel=1e-3)


def test_scale_gradient_is_the_formula():
    likelihood = Gaussian(0.5).double()
    y = torch.tensor([0.4, -0.1], dtype=F64)
    sigma = likelihood.noise_scale
    (gradient,) = torch.autograd.grad(
        likelihood.log_prob(torch.zeros(2, 3, 1, dtype=F64), y).sum(), next(likelihood.parameters())
    )
    s = float(sigma.detach())
    # The parameter is log sigma: d/dlog sigma = sum(y^2 / sigma^2 - 1).
    assert float(gradient) == pytest.approx(float((y.square() / s**2 - 1).sum()))


def test_each_read_out_and_each_copy_has_a_scale_of_its_own():
    model = SpikingGLM(3, (4, 4), Gaussian(0.3))
    first, second = model.likelihoods
    first.scale = torch.tensor(0.9)
    assert float(second.noise_scale.detach()) == pytest.approx(0.3)
    twin = copy.deepcopy(second)
    twin.scale = torch.tensor(0.1)
    assert float(second.noise_scale.detach()) == pytest.approx(0.3)
    assert model.likelihood is second


def test_state_dict_carries_the_scale():
    source, target = Gaussian(0.3), Gaussian(0.8)
    target.load_state_dict(source.state_dict())
    assert float(target.noise_scale.detach()) == pytest.approx(0.3)


@pytest.mark.parametrize("noise", [0.0, -1.0, math.nan])
def test_bad_noise_is_refused(noise):
    with pytest.raises(ModelError, match="noise"):
        Gaussian(noise)
