"""The Bayesian learning rule: against the paper's closed form, and as a torch optimiser."""

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from pyro.poutine.messenger import Messenger

from bisnn_pyro.distributions import RelaxedSignBernoulli, SignBernoulli
from bisnn_pyro.distributions.sign_bernoulli import RelaxedSign, half_logistic_noise
from bisnn_pyro.errors import ModelError
from bisnn_pyro.inference import AutoRelaxedSign, BayesianLearningRule, MeanFieldELBO
from bisnn_pyro.models import BinaryPrior
from tests.inference.tiny import make_network, make_spikes, make_targets

TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3}


def closed_form(natural, w_z, grad_w, *, eta, rho, prior, tau):
    """The paper's eq. 15, transcribed in long double; ``w_z`` is the draw's pre-activation z.

    lambda <- (1 - eta rho) lambda - eta [sc dL/dw - rho lambda_0],
    sc = (1 - w^2) / (tau (1 - tanh^2 lambda)), w = tanh z; 1 - tanh^2 is written as cosh^-2, which even long
    double needs in the tails.
    """
    lam, z, g = (np.asarray(x.detach().double().numpy(), np.longdouble) for x in (natural, w_z, grad_w))
    scale = np.cosh(z) ** -2 / (tau * np.cosh(lam) ** -2)
    return (1 - eta * rho) * lam - eta * (scale * g - rho * prior)


def assert_moved_alike(before, after, expected, dtype):
    """Compare moves, not positions: relative tolerance, down to the rounding of the position itself."""
    before = before.detach().double().numpy()
    move, reference = after.detach().double().numpy() - before, np.asarray(expected - before, np.float64)
    rounding = 4 * torch.finfo(dtype).eps * np.maximum(np.abs(before), 1)
    bad = ~(np.abs(move - reference) <= TOLERANCE[dtype] * np.abs(reference) + rounding)
    assert not bad.any(), (before[bad], move[bad], reference[bad])


class TestClosedForm:
    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
    @pytest.mark.parametrize("beta", [0.0, 0.02, 1.0])
    @pytest.mark.parametrize("prior", [0.0, 0.8, -1.5])
    @pytest.mark.parametrize("tau", [1.0, 0.25])
    def test_one_step(self, dtype, beta, prior, tau):
        # The loss per example, as the paper has it: eta = lr, rho = beta / N.
        n_data, lr = 50, 0.05
        natural = torch.linspace(-10, 10, 4001, dtype=dtype, requires_grad=True)
        noise = half_logistic_noise(natural.shape, natural)
        w = RelaxedSign.apply(natural, noise, torch.tensor(tau, dtype=dtype), False)
        slope = torch.randn(natural.shape).to(dtype)  # dL/dw of the mean loss
        nll = n_data * (slope * w).sum()
        q, p = RelaxedSignBernoulli(tau, natural), SignBernoulli(torch.tensor(prior, dtype=dtype))
        kl = torch.distributions.kl_divergence(q, p).sum()
        ((nll + beta * kl) / n_data).backward()
        before = natural.detach().clone()
        BayesianLearningRule([natural], lr=lr).step()
        z = (before.double() + noise.double()) / tau
        eta, rho = lr, beta / n_data
        expected = closed_form(before, z, slope, eta=eta, rho=rho, prior=prior, tau=tau)
        limit = 40.0 if dtype == torch.float32 else 300.0
        assert_moved_alike(before, natural, np.clip(expected, -limit, limit), dtype)

    @settings(deadline=None, max_examples=60)
    @given(
        lam=st.floats(-10, 10),
        u=st.floats(1e-6, 1 - 1e-6),
        g=st.floats(-5, 5),
        prior=st.floats(-3, 3),
        tau=st.floats(0.1, 3),
        beta=st.floats(0, 2),
    )
    def test_any_synapse_in_float64(self, lam, u, g, prior, tau, beta):
        natural = torch.tensor([lam], dtype=torch.float64, requires_grad=True)
        noise = 0.5 * torch.logit(torch.tensor([u], dtype=torch.float64))
        w = RelaxedSign.apply(natural, noise, torch.tensor(tau, dtype=torch.float64), False)
        q = RelaxedSignBernoulli(tau, natural)
        p = SignBernoulli(torch.tensor([prior], dtype=torch.float64))
        kl = torch.distributions.kl_divergence(q, p).sum()
        (g * w.sum() + beta * kl).backward()
        before = natural.detach().clone()
        BayesianLearningRule([natural], lr=0.01).step()
        z = (before + noise) / tau
        slope = torch.tensor([g], dtype=torch.float64)
        expected = closed_form(before, z, slope, eta=0.01, rho=beta, prior=prior, tau=tau)
        assert_moved_alike(before, natural, np.clip(expected, -300, 300), torch.float64)

    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
    @pytest.mark.parametrize(("beta", "p"), [(1.0, 0.5), (0.3, 0.7), (0.0, 0.7)])
    @pytest.mark.parametrize("credit", ["local", "end-to-end"])
    def test_through_guide_elbo_and_model(self, dtype, beta, p, credit):
        n_data, lr, tau = 60, 0.12, 0.5
        net = make_network(hidden=(5, 4), prior=BinaryPrior(p), credit=credit).to(dtype)
        net.dataset_size = n_data
        guide = AutoRelaxedSign(net, estimator="relaxed", temperature=tau, init_scale=3.0)
        spikes, y = make_spikes(dtype=dtype), make_targets()
        guide.initialize(spikes, y)
        rule = BayesianLearningRule(guide.parameters(), lr=lr)
        before = {k: v.clone() for k, v in guide.natural_parameters().items()}

        draws = {}

        class KeepDraws(Messenger):
            def _pyro_post_sample(self, msg):
                if msg["name"] in before and msg["value"].requires_grad:
                    msg["value"].retain_grad()
                    draws[msg["name"]] = msg["value"]

        torch.manual_seed(3)
        with KeepDraws():
            energy = MeanFieldELBO(kl_weight=beta).free_energy(net, guide, spikes, y)
        (energy.loss / n_data).backward()
        rule.step()

        torch.manual_seed(3)
        prior = float(net.layers[0].prior.natural)
        assert prior == pytest.approx(0.5 * math.log(p / (1 - p)))
        for name, lam in before.items():
            z = (lam.double() + half_logistic_noise(lam.shape, lam).double()) / tau
            torch.testing.assert_close(draws[name].detach(), torch.tanh(z).to(dtype))
            slope = draws[name].grad.double()  # of the loss per example
            eta, rho = lr, beta / n_data
            expected = closed_form(lam, z, slope, eta=eta, rho=rho, prior=prior, tau=tau)
            assert_moved_alike(lam, guide.natural_parameters()[name], expected, dtype)

    def test_several_particles_average_their_terms(self):
        natural = torch.tensor([0.5, -1.0], dtype=torch.float64, requires_grad=True)
        noise = half_logistic_noise((4, 2), natural)
        slope = torch.tensor([1.0, -2.0], dtype=torch.float64)
        w = RelaxedSign.apply(natural.expand(4, 2), noise, torch.ones((), dtype=torch.float64), False)
        (slope * w).sum(-1).mean().backward()
        before = natural.detach().clone()
        BayesianLearningRule([natural], lr=0.1).step()
        each = [
            closed_form(before, before + noise[s], slope, eta=0.1, rho=0.0, prior=0.0, tau=1.0)
            for s in range(4)
        ]
        assert_moved_alike(before, natural, sum(each) / 4, torch.float64)

    def test_kl_alone_shrinks_geometrically_to_the_prior(self):
        natural = torch.tensor([5.0, -3.0, 0.1], dtype=torch.float64, requires_grad=True)
        prior = torch.tensor([0.5], dtype=torch.float64)
        rule = BayesianLearningRule([natural], lr=0.1)
        expected = natural.detach().clone()
        for _ in range(20):
            rule.zero_grad()
            q = RelaxedSignBernoulli(1.0, natural)
            torch.distributions.kl_divergence(q, SignBernoulli(prior)).sum().backward()
            rule.step()
            expected = 0.9 * expected + 0.1 * 0.5
        torch.testing.assert_close(natural.detach(), expected, rtol=1e-10, atol=1e-10)


def parameter(*values, dtype=torch.float64):
    return torch.tensor(values, dtype=dtype, requires_grad=True)


def natural_step(natural, grad):
    return grad * torch.cosh(natural.detach()) ** 2


class TestOptimiser:
    def test_momentum_is_a_debiased_average(self):
        natural, m, lr = parameter(0.3, -0.6), 0.9, 0.01
        rule = BayesianLearningRule([natural], lr=lr, momentum=m)
        average, position = torch.zeros(2, dtype=torch.float64), natural.detach().clone()
        for k in range(1, 6):
            grad = torch.tensor([1.0, -0.5], dtype=torch.float64) * k
            average = m * average + (1 - m) * natural_step(position, grad)
            position = position - lr * average / (1 - m**k)
            natural.grad = grad
            rule.step()
            torch.testing.assert_close(natural.detach(), position, rtol=1e-12, atol=0)

    @pytest.mark.parametrize("momentum", [0.0, 0.5])
    def test_max_step_bounds_a_move(self, momentum):
        natural = parameter(0.0, 5.0, -5.0)
        rule = BayesianLearningRule([natural], lr=0.1, momentum=momentum, max_step=0.2)
        natural.grad = torch.tensor([0.5, 1e3, -1e3], dtype=torch.float64)
        rule.step()
        expected = torch.tensor([-0.05, 4.8, -4.8], dtype=torch.float64)
        torch.testing.assert_close(natural.detach(), expected)

    @pytest.mark.parametrize(("dtype", "limit"), [(torch.float32, 40.0), (torch.float64, 300.0)])
    def test_clamp(self, dtype, limit):
        natural = parameter(1.0, -1.0, 0.0, dtype=dtype)
        rule = BayesianLearningRule([natural], lr=1.0)
        natural.grad = torch.tensor([-1e6, 1e6, 0.0], dtype=dtype)
        rule.step()
        assert natural.tolist() == [limit, -limit, 0.0]
        # And a finite move away from there again.
        q, p = RelaxedSignBernoulli(1.0, natural), SignBernoulli(torch.zeros(3, dtype=dtype))
        rule.zero_grad()
        torch.distributions.kl_divergence(q, p).sum().backward()
        rule.param_groups[0]["lr"] = 0.5
        rule.step()
        torch.testing.assert_close(
            natural.detach(), torch.tensor([limit / 2, -limit / 2, 0.0], dtype=dtype), rtol=1e-4, atol=0
        )

    def test_param_groups_have_settings_of_their_own(self):
        slow, fast = parameter(0.0), parameter(0.0)
        rule = BayesianLearningRule(
            [{"params": [slow]}, {"params": [fast], "lr": 1.0, "max_step": 0.5}], lr=0.1
        )
        slow.grad = fast.grad = torch.ones(1, dtype=torch.float64)
        rule.step()
        assert slow.item() == pytest.approx(-0.1)
        assert fast.item() == -0.5

    def test_parameters_without_gradient_stay(self):
        moved, still = parameter(0.0), parameter(0.7)
        rule = BayesianLearningRule([moved, still], lr=0.1, momentum=0.9)
        moved.grad = torch.ones(1, dtype=torch.float64)
        rule.step()
        assert still.item() == 0.7
        assert moved.item() != 0

    def test_closure(self):
        natural = parameter(0.4)
        rule = BayesianLearningRule([natural], lr=0.1)

        def closure():
            rule.zero_grad()
            loss = (natural**2).sum()
            loss.backward()
            return loss

        assert rule.step(closure).item() == pytest.approx(0.16)
        assert natural.item() == pytest.approx(0.4 - 0.1 * 0.8 * math.cosh(0.4) ** 2)
        assert rule.step() is None

    def test_state_dict_round_trip(self):
        def advance(natural, rule, steps):
            for k in steps:
                natural.grad = torch.sin(natural.detach() + k)
                rule.step()

        one = parameter(0.1, -0.2, 3.0)
        first = BayesianLearningRule([one], lr=0.05, momentum=0.8, max_step=1.0)
        advance(one, first, range(3))
        two = one.detach().clone().requires_grad_()
        second = BayesianLearningRule([two], lr=9.0)
        second.load_state_dict(copy.deepcopy(first.state_dict()))
        advance(one, first, range(3, 7))
        advance(two, second, range(3, 7))
        assert torch.equal(one, two)

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"lr": 0.0}, "lr"),
            ({"lr": -1.0}, "lr"),
            ({"lr": math.nan}, "lr"),
            ({"lr": 0.1, "momentum": 1.0}, "momentum"),
            ({"lr": 0.1, "momentum": -0.1}, "momentum"),
            ({"lr": 0.1, "max_step": 0.0}, "max_step"),
            ({"lr": 0.1, "max_step": -1.0}, "max_step"),
        ],
    )
    def test_errors(self, options, words):
        with pytest.raises(ModelError, match=words):
            BayesianLearningRule([parameter(0.0)], **options)

    @pytest.mark.parametrize(
        "make",
        [
            lambda p: torch.optim.Adam(p, lr=0.05),
            lambda p: torch.optim.SGD(p, lr=0.005, momentum=0.9),
            lambda p: BayesianLearningRule(p, lr=0.01),
        ],
        ids=["adam", "sgd", "bayes"],
    )
    def test_any_torch_optimiser_lowers_the_loss(self, make):
        # Seed 0; the KL to a distant prior is most of this loss, so that noise cannot hide the descent.
        net = make_network(prior=BinaryPrior(0.95))
        guide = AutoRelaxedSign(net)
        args = make_spikes(), make_targets()
        guide.initialize(*args)
        elbo = MeanFieldELBO(num_particles=4, vectorize_particles=True, max_plate_nesting=1)
        optimiser = make(list(guide.parameters()))
        losses = []
        for _ in range(30):
            optimiser.zero_grad()
            losses.append(elbo.loss_and_grads(net, guide, *args))
            optimiser.step()
        assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 1
