"""Likelihoods of labels and of real targets: formulas, accuracy at the ends, refusals."""

import copy
import math

import pytest
import torch

from bisnn_pyro.errors import ModelError
from bisnn_pyro.models import (
    BernoulliRate,
    BernoulliSteps,
    CategoricalRate,
    CategoricalSteps,
    Gaussian,
    SpikingGLM,
    Window,
)

F64 = torch.float64
DRAWS = pytest.mark.parametrize("draws", [(), (3,), (2, 3)])


def readout(draws, n_outputs, n_steps=7, batch=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(*draws, batch, n_steps, n_outputs, generator=generator, dtype=F64)


Y3, Y2 = torch.tensor([0, 2, 1, 2]), torch.tensor([0, 1, 1, 0])


def log_softmax(r):
    return r - r.exp().sum(-1, keepdim=True).log()


def log_sigmoid(r):
    return -(1 + (-r).exp()).log()


@DRAWS
def test_categorical_rate(draws):
    r = readout(draws, 3)
    log_p = log_softmax(r.mean(-2))
    torch.testing.assert_close(CategoricalRate(3).log_prob(r, Y3), log_p[..., range(4), Y3])
    torch.testing.assert_close(CategoricalRate(3).predict(r), log_p.exp())


@DRAWS
def test_categorical_steps(draws):
    r = readout(draws, 3)
    per_step = log_softmax(r)[..., range(4), :, Y3].movedim(0, -2)
    torch.testing.assert_close(CategoricalSteps(3).log_prob(r, Y3), per_step.mean(-1))
    torch.testing.assert_close(CategoricalSteps(3).predict(r), log_softmax(r.mean(-2)).exp())


@DRAWS
@pytest.mark.parametrize("y", [Y2, Y2.float(), Y2.double()], ids=["int", "float", "double"])
def test_bernoulli_rate(draws, y):
    r = readout(draws, 1)
    logit = r.mean(-2)[..., 0]
    expected = torch.where(Y2 == 1, log_sigmoid(logit), log_sigmoid(-logit))
    ours = BernoulliRate().log_prob(r, y)
    assert ours.dtype == F64
    torch.testing.assert_close(ours, expected)
    both = torch.stack((log_sigmoid(-logit), log_sigmoid(logit)), -1).exp()
    torch.testing.assert_close(BernoulliRate().predict(r), both)


@DRAWS
@pytest.mark.parametrize("y", [Y2, Y2.float(), Y2.double()], ids=["int", "float", "double"])
def test_bernoulli_steps(draws, y):
    r = readout(draws, 1)
    steps = r[..., 0]
    expected = torch.where(Y2[:, None] == 1, log_sigmoid(steps), log_sigmoid(-steps)).mean(-1)
    ours = BernoulliSteps().log_prob(r, y)
    assert ours.dtype == F64
    torch.testing.assert_close(ours, expected)
    logit = steps.mean(-1)
    both = torch.stack((log_sigmoid(-logit), log_sigmoid(logit)), -1).exp()
    torch.testing.assert_close(BernoulliSteps().predict(r), both)


@pytest.mark.parametrize(
    "likelihood",
    [CategoricalRate(2), CategoricalSteps(2), BernoulliRate(), BernoulliSteps()],
    ids=lambda x: type(x).__name__,
)
def test_two_classes_give_two_probabilities_that_sum_to_one(likelihood):
    r = readout((3,), likelihood.n_outputs) * 100
    p = likelihood.predict(r)
    assert p.shape == (3, 4, 2)
    assert likelihood.n_classes == 2
    torch.testing.assert_close(p.sum(-1), torch.ones(3, 4, dtype=F64))
    # Scores of the two labels are those of a distribution where the label is seen once.
    if "Rate" in type(likelihood).__name__:
        each = [likelihood.log_prob(r, torch.full((4,), k)).exp() for k in range(2)]
        torch.testing.assert_close(torch.stack(each, -1), p)


def test_bernoulli_keeps_small_probabilities():
    r = torch.full((1, 1, 1), 50.0)
    p = BernoulliRate().predict(r)
    assert float(p[0, 0]) == pytest.approx(1.9287e-22, rel=1e-4)


@pytest.mark.parametrize("family", [CategoricalSteps, BernoulliSteps])
@pytest.mark.parametrize("size", [1, 3, 7])
def test_windows_add_up_to_the_whole(family, size):
    likelihood = family(2)
    r = readout((2,), likelihood.n_outputs)
    parts = [
        likelihood.log_prob(part, Y2, Window(start=size * k, fraction=part.shape[-2] / 7))
        for k, part in enumerate(r.split(size, dim=-2))
    ]
    torch.testing.assert_close(sum(parts), likelihood.log_prob(r, Y2))


@pytest.mark.parametrize("family", [CategoricalRate, BernoulliRate])
def test_rate_windows_are_weighted_by_their_share(family):
    likelihood = family(2)
    r = readout((2,), likelihood.n_outputs)
    part = r[..., :3, :]
    weighted = likelihood.log_prob(part, Y2, Window(fraction=3 / 7))
    torch.testing.assert_close(weighted, 3 / 7 * likelihood.log_prob(part, Y2))


@pytest.mark.parametrize("family", [CategoricalRate, CategoricalSteps])
@pytest.mark.parametrize("n", [1, 0, -2])
def test_too_few_classes(family, n):
    with pytest.raises(ModelError, match="at least 2 classes"):
        family(n)


@pytest.mark.parametrize("family", [BernoulliRate, BernoulliSteps])
@pytest.mark.parametrize("n", [1, 3])
def test_bernoulli_is_for_two_classes(family, n):
    with pytest.raises(ModelError, match="2 classes"):
        family(n)


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
