"""BiMU: against its formula in long double, the free energy that it minimises, and its bounds."""

import copy
import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from scipy import optimize

from bisnn_pyro.errors import ModelError
from bisnn_pyro.inference import (
    AutoRelaxedSign,
    BayesianLearningRule,
    BiMU,
    GradientSteps,
    Learner,
    TrainSettings,
    encode_all,
    posterior_draws,
    predict,
)
from bisnn_pyro.models import CategoricalRate, SpikingGLM
from tests.inference.tiny import encode_current, make_points

F64 = torch.float64
positive = st.floats(0.01, 100.0)


def parameter(*values, dtype=F64):
    return torch.tensor(values, dtype=dtype, requires_grad=True)


def bimu(params, *arguments, **options):
    """The rule with batches of one example, so that its multiplier is the one given."""
    return BiMU(params, *arguments, **{"dataset_size": 40, "batch_size": 1, **options})


def moved(natural, gradient, dtype=F64, **options):
    """Return where one step takes parameters, given the loss's gradient in them."""
    tensor = parameter(*natural, dtype=dtype)
    tensor.grad = torch.tensor(gradient, dtype=dtype)
    bimu([tensor], **{"memory": 10.0, **options}).step()
    return tensor.detach().double().numpy()


def formula(natural, gradient, lr, memory, c_lik, c_kl, lr_max, prior):
    """systems.md's rule, transcribed in long double."""
    lam, g = np.asarray(natural, np.longdouble), np.longdouble(c_lik) * np.asarray(gradient, np.longdouble)
    h = c_kl / np.cosh(lam) ** 2
    denominator = h + 2 * g * np.tanh(lam) + 2 * np.abs(g) + 1 / np.longdouble(lr_max)
    return lam - (lr * g + (lam - prior) * h / memory) / denominator


@settings(deadline=None, max_examples=200)
@given(
    lam=st.floats(-8, 8),
    g=st.floats(-20, 20),
    lr=positive,
    memory=st.floats(1, 1e5),
    c_lik=positive,
    c_kl=positive,
    lr_max=positive,
    prior=st.floats(-2, 2),
)
def test_one_step_is_the_formula(lam, g, lr, memory, c_lik, c_kl, lr_max, prior):
    multipliers = {"likelihood_multiplier": c_lik, "kl_multiplier": c_kl}
    ours = moved([lam], [g], lr=lr, memory=memory, lr_max=lr_max, prior=prior, **multipliers)
    expected = np.clip(formula([lam], [g], lr, memory, c_lik, c_kl, lr_max, prior), -300, 300)
    np.testing.assert_allclose(ours, expected.astype(float), rtol=1e-9, atol=1e-10)


@settings(deadline=None, max_examples=300)
@given(
    lam=st.floats(-39, 39, width=32),
    g=st.one_of(st.just(0.0), st.floats(-1e30, 1e30), st.floats(-1, 1)),
    lr=st.floats(0.01, 20),
    memory=st.floats(1, 1e5),
    lr_max=st.one_of(positive, st.just(math.inf)),
)
def test_a_step_is_bounded_and_never_uphill(lam, g, lr, memory, lr_max):
    # In float32, where 2|g| - 2|g| tanh would cancel; the limit at 40 is out of the way of inward moves.
    g = float(np.float32(g))
    move = float(moved([lam], [g], torch.float32, lr=lr, memory=memory, lr_max=lr_max)[0]) - lam
    assert math.isfinite(move)
    rounding = 1e-5 * (1 + abs(lam))
    pull = abs(lam) / memory
    if g * lam >= 0:
        assert abs(move) <= lr / 2 + pull + rounding
    if not math.isinf(lr_max):
        assert abs(move) <= lr * lr_max * abs(g) * (1 + 1e-5) + pull + rounding
    # A positive denominator: the move opposes the numerator.
    numerator = lr * g + lam / math.cosh(lam) ** 2 / memory
    assert move * numerator <= rounding * abs(numerator)


@given(lam=st.floats(0.1, 6), g=st.floats(0.01, 10))
@settings(deadline=None, max_examples=50)
def test_it_is_odd_and_moves_inwards_less_than_outwards(lam, g):
    inward, outward = moved([lam, lam], [g, -g], memory=1e9, lr_max=1.0) - lam
    assert inward < 0 < outward
    assert abs(inward) < outward
    mirrored = moved([-lam, -lam], [-g, g], memory=1e9, lr_max=1.0) + lam
    np.testing.assert_allclose(mirrored, [-inward, -outward], rtol=1e-12)


@given(lam=st.floats(-4, 4), g=st.floats(0.001, 50), lr_max=positive)
@settings(deadline=None, max_examples=50)
def test_gradients_that_cancel_drift_outwards(lam, g, lr_max):
    # The docstring's exact drift, with a memory so long that nothing else moves the synapse.
    lr, there, back = 0.3, 1 / math.cosh(lam) ** 2 + 1 / lr_max + 2 * g, 2 * g * math.tanh(lam)
    moves = moved([lam, lam], [g, -g], lr=lr, memory=1e15, lr_max=lr_max) - lam
    expected = 2 * lr * g**2 * math.tanh(lam) / ((there + back) * (there - back))
    assert moves.mean() == pytest.approx(expected, rel=1e-6, abs=1e-12)


# -- what it minimises --------------------------------------------------------------------------------


def one_sided(natural, slope):
    """Gradient of ``slope * tanh(natural)``, a loss that always points one way."""
    return slope / torch.cosh(natural.detach()) ** 2


SETTINGS = {"lr": 0.7, "memory": 6.0, "likelihood_multiplier": 1.5, "kl_multiplier": 0.8}
BETA = 0.8 / (0.7 * 1.5 * 6.0)


@pytest.mark.parametrize("prior", [0.0, 0.6])
def test_fixed_points_of_linear_losses(prior):
    # Of G tanh(lambda) + beta KL: lambda_0 - G / beta.
    slope = torch.tensor([0.3, -0.2, 0.0, 0.05], dtype=F64)
    rest = prior - slope / BETA
    natural = rest.clone().requires_grad_()
    rule = bimu([natural], prior=prior, lr_max=50.0, **SETTINGS)
    natural.grad = one_sided(natural, slope)
    rule.step()
    torch.testing.assert_close(natural.detach(), rest, rtol=1e-12, atol=1e-12)
    with torch.no_grad():
        natural.copy_(torch.tensor([1.5, -2.0, 3.0, -1.0]))
    for _ in range(4000):
        natural.grad = one_sided(natural, slope)
        rule.step()
    torch.testing.assert_close(natural.detach(), rest, rtol=1e-8, atol=1e-8)


def test_it_minimises_the_free_energy_of_its_kl_weight():
    # Three synapses and a loss for each of their eight states: everything by enumeration.
    states = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=3)), dtype=F64)
    energies = torch.tensor([0.1, -0.1, 0.2, 0.1, -0.2, 0.1, 0.0, -0.2], dtype=F64)

    def expected_loss(natural):
        return (torch.sigmoid(2 * natural * states).prod(-1) * energies).sum()

    def free_energy(values):
        mean = np.tanh(values)
        kl = values * mean - np.log(np.cosh(values))
        return float(expected_loss(torch.tensor(values))) + BETA * kl.sum()

    natural = parameter(0.1, -0.2, 0.3)
    rule = bimu([natural], lr_max=50.0, **SETTINGS)
    for _ in range(3000):
        rule.zero_grad()
        expected_loss(natural).backward()
        rule.step()
    found = optimize.minimize(free_energy, natural.detach().numpy() + 0.1, method="BFGS", tol=1e-9)
    np.testing.assert_allclose(natural.detach().numpy(), found.x, atol=1e-5)
    assert 0.3 < np.abs(found.x).max() < 3


def test_small_gradients_make_it_the_bayesian_learning_rule():
    lam = torch.linspace(-3, 3, 31, dtype=F64)
    slope = torch.cos(5 * lam)
    lr, c_lik, c_kl, memory = 0.4, 1.3, 0.9, 500.0
    errors = []
    for size in (1e-3, 1e-4, 1e-5):
        ours, theirs = lam.clone().requires_grad_(), lam.clone().requires_grad_()
        # beta shrinks with the gradient, so that neither term of the step vanishes next to the other.
        multipliers = {"likelihood_multiplier": c_lik, "kl_multiplier": c_kl}
        rule = bimu([ours], lr, memory=memory / size, lr_max=1 / size, **multipliers)
        beta = c_kl / (lr * c_lik * memory / size)
        ours.grad = one_sided(lam, size * slope)
        rule.step()
        theirs.grad = one_sided(lam, size * slope) + beta * lam / torch.cosh(lam) ** 2
        BayesianLearningRule([theirs], lr=lr * c_lik / c_kl).step()
        steps = ours.detach() - lam, theirs.detach() - lam
        errors.append(float((steps[0] - steps[1]).norm() / steps[1].norm()))
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 5e-3


@given(slope=st.floats(-3, 3), start=st.floats(-5, 5), memory=st.floats(1, 50))
@settings(deadline=None, max_examples=30)
def test_one_sided_evidence_does_not_saturate(slope, start, memory):
    natural = parameter(start)
    rule = bimu([natural], 1.0, memory=memory, lr_max=10.0)
    bound = max(abs(start), memory * abs(slope)) + 1e-9
    for _ in range(200):
        natural.grad = one_sided(natural, slope)
        rule.step()
        assert abs(natural.item()) <= bound


def test_where_the_bayesian_rule_saturates_without_a_kl():
    ours, bayes = parameter(0.0), parameter(0.0)
    rules = bimu([ours], 1.0, memory=20.0, lr_max=50.0), BayesianLearningRule([bayes], lr=1.0)
    for _ in range(3000):
        for natural, rule in zip((ours, bayes), rules, strict=True):
            natural.grad = one_sided(natural, -0.1)
            rule.step()
    assert bayes.item() == pytest.approx(300.0)
    assert ours.item() == pytest.approx(2.0, abs=1e-6)


# -- as an optimiser ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "limit"), [(torch.float32, 40.0), (F64, 300.0)])
def test_clamp(dtype, limit):
    after = moved([30.0, -30.0], [-1e9, 1e9], dtype, lr=20.0, lr_max=math.inf)
    assert after.tolist() == [limit, -limit]


def test_parameters_without_gradient_stay_and_groups_have_settings_of_their_own():
    still, slow, fast = parameter(2.0), parameter(2.0), parameter(2.0)
    rule = bimu([{"params": [still, slow]}, {"params": [fast], "memory": 2.0}], memory=1e6)
    slow.grad = fast.grad = torch.zeros(1, dtype=F64)
    rule.step()
    h = 1 / math.cosh(2.0) ** 2
    assert still.item() == 2.0
    assert fast.item() == pytest.approx(2.0 - h / (h + 1))
    assert 2.0 - slow.item() == pytest.approx(2 * h / 1e6 / (h + 1), rel=1e-6)


def test_state_dict_round_trip():
    one = parameter(0.1, -0.2, 3.0)
    first = bimu([one], 0.5, memory=7.0, lr_max=0.2, kl_multiplier=3.0, likelihood_multiplier=2.0, prior=0.3)
    two = one.detach().clone().requires_grad_()
    second = bimu([two], memory=1.0)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for k in range(4):
        for natural, rule in ((one, first), (two, second)):
            natural.grad = torch.sin(natural.detach() + k)
            rule.step()
    assert torch.equal(one, two)


@pytest.mark.parametrize("name", ["lr", "likelihood_multiplier", "kl_multiplier", "lr_max"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan])
def test_positive_settings(name, value):
    with pytest.raises(ModelError, match=f"rule {name} must be positive"):
        bimu([parameter(0.0)], **{"memory": 10.0, name: value})


@pytest.mark.parametrize("bad", [{"memory": 0.5}, {"memory": math.nan}, {"memory": 5, "prior": math.inf}])
def test_other_settings(bad):
    with pytest.raises(ModelError, match=r"memory is a number of updates|prior must be a finite"):
        bimu([parameter(0.0)], **bad)


def test_it_learns_through_the_learner_and_stays_moderate():
    x, y = make_points(120)
    model = SpikingGLM(4, (48,), CategoricalRate(2), gain=2.0, readout_gain=4.0)
    guide = AutoRelaxedSign(model, estimator="relaxed", temperature=0.5)

    def rule(model, guide):
        multiplier, sizes = 50, {"dataset_size": len(x), "batch_size": 20}
        return [
            BiMU(guide.parameters(), 2.0, memory=500, likelihood_multiplier=multiplier, lr_max=0.1, **sizes)
        ]

    settings = TrainSettings(epochs=15, batch_size=20, kl_weight=0.0)
    Learner(model, guide, encode_current, GradientSteps(rule), settings).fit(x, y)
    x, y = make_points(100, seed=2)
    votes = predict(model, posterior_draws(guide, 0), encode_all(encode_current, x, 0), n_draws=20)
    assert (votes.mean.argmax(1) == y.numpy()).mean() >= 0.9
    largest = max(float(n.abs().max()) for n in guide.natural_parameters().values())
    assert 0.5 < largest < 15
