"""What belongs to one guide: its gradient, its initial values, its errors.  The rest is in the contract."""

import copy

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import Predictive
from pyro.infer.autoguide import AutoDelta, AutoGuideList

from bisnn_pyro.distributions import HardRelaxedSignBernoulli, RelaxedSignBernoulli
from bisnn_pyro.errors import ModelError
from bisnn_pyro.inference import (
    AutoFullPrecision,
    AutoMeanFieldGaussian,
    AutoRelaxedSign,
    AutoStraightThrough,
    BayesianLearningRule,
    MeanFieldELBO,
)
from bisnn_pyro.models import BernoulliRate, BinaryPrior, NormalPrior, SpikingGLM, Window
from tests.inference.tiny import make_network, make_spikes, make_targets

ARGS = make_spikes(), make_targets()
SITE = "layers.0.weight"


def ready(kind, prior=None, **options):
    net = make_network(prior=prior)
    guide = kind(net, **options)
    guide.initialize(*ARGS)
    return net, guide


def set_parameter(guide, role, value):
    with torch.no_grad():
        guide.parameter(role, SITE).copy_(value)


class TestRelaxedSign:
    @pytest.mark.parametrize(
        ("estimator", "kind"), [("relaxed", RelaxedSignBernoulli), ("hard", HardRelaxedSignBernoulli)]
    )
    def test_training_site(self, estimator, kind):
        _, guide = ready(AutoRelaxedSign, estimator=estimator, temperature=0.5)
        node = poutine.trace(guide).get_trace(*ARGS).nodes[SITE]
        base = node["fn"].base_dist
        assert type(base) is kind
        assert float(base.temperature) == 0.5
        assert bool((node["value"].abs() == 1).all()) == (estimator == "hard")

    def test_hard_and_soft_draws_share_noise_and_gradient(self):
        results = []
        for estimator in ("relaxed", "hard"):
            pyro.clear_param_store()
            torch.manual_seed(1)
            _, guide = ready(AutoRelaxedSign, estimator=estimator)
            torch.manual_seed(2)
            w = guide(*ARGS)[SITE]
            w.sum().backward()
            results.append((w.detach(), guide.natural.layers__0__weight_unconstrained.grad))
        (soft, soft_grad), (hard, hard_grad) = results
        assert torch.equal(soft.sign(), hard)
        torch.testing.assert_close(soft_grad, hard_grad)

    def test_temperature_is_saved(self):
        net, guide = ready(AutoRelaxedSign, estimator="relaxed", temperature=0.25)
        fresh = AutoRelaxedSign(net, estimator="relaxed", temperature=1.0)
        fresh.load_state_dict(guide.state_dict())
        assert float(fresh.temperature) == 0.25

    @pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
    def test_temperature_error(self, temperature):
        with pytest.raises(ModelError, match="must be positive"):
            AutoRelaxedSign(make_network(), estimator="relaxed", temperature=temperature)

    def test_initial_values(self):
        _, guide = ready(AutoRelaxedSign, init_scale=0.3)
        natural = guide.natural_parameters()[SITE]
        assert float(natural.abs().max()) <= 0.3
        assert float(natural.std()) > 0.1
        assert natural.min() < 0 < natural.max()

    def test_mode_and_mean(self):
        _, guide = ready(AutoRelaxedSign)
        natural = torch.linspace(-2, 2, 20).reshape(5, 4)
        natural[0, 0] = 0.0
        set_parameter(guide, "natural", natural)
        assert torch.equal(guide.mode()[SITE], torch.where(natural < 0, -1.0, 1.0))
        torch.testing.assert_close(guide.mean()[SITE], torch.tanh(natural))
        torch.testing.assert_close(guide.natural_parameters()[SITE], natural)

    def test_frequencies_of_members(self):
        # 4000 draws of 20 synapses, seed 0: six standard errors, false alarm below 1e-7.
        _, guide = ready(AutoRelaxedSign)
        set_parameter(guide, "natural", torch.linspace(-2, 2, 20).reshape(5, 4))
        draws = guide.sample_posterior(4000, seed=0)[SITE]
        p = torch.sigmoid(2 * guide.natural_parameters()[SITE])
        error = (draws > 0).float().mean(0) - p
        assert bool((error.abs() < 6 * (p * (1 - p) / 4000).sqrt()).all())

    def test_double_precision(self):
        net = make_network().double()
        guide = AutoRelaxedSign(net)
        spikes = ARGS[0].double()
        guide.initialize(spikes, ARGS[1])
        assert guide.natural_parameters()[SITE].dtype == torch.float64
        assert guide(spikes)[SITE].dtype == torch.float64
        assert guide.sample_posterior(1, seed=0)[SITE].dtype == torch.float64


class TestStraightThrough:
    @pytest.mark.parametrize("clip", [None, 1.0])
    def test_sign_and_gradient(self, clip):
        _, guide = ready(AutoStraightThrough, clip=clip)
        latent = torch.linspace(-2, 2, 20).reshape(5, 4)
        latent[2] = torch.tensor([0.0, -0.0, 1.0, -1.0])
        set_parameter(guide, "latent", latent)
        w = guide(*ARGS)[SITE]
        assert torch.equal(w, torch.where(latent < 0, -1.0, 1.0))
        weights = torch.randn(5, 4)
        (w * weights).sum().backward()
        passed = torch.ones(5, 4) if clip is None else (latent.abs() <= clip).float()
        assert torch.equal(guide.latent.layers__0__weight_unconstrained.grad, weights * passed)

    def test_update_is_the_papers(self):
        # w_r <- w_r - eta dL/dw: with a fair prior and SGD on the free energy nothing else moves it.
        net, guide = ready(AutoStraightThrough)
        latent = guide.parameter("latent", SITE).detach().clone()
        weight = guide.mode()[SITE].requires_grad_()
        run = net.simulate({SITE: weight}, ARGS[0])
        nll = -net.likelihood.log_prob(net.counted(run.readouts[-1], Window()), ARGS[1]).sum()
        (slope,) = torch.autograd.grad(nll, weight)
        optimiser = torch.optim.SGD(guide.parameters(), lr=0.3)
        MeanFieldELBO().loss_and_grads(net, guide, *ARGS)
        optimiser.step()
        assert float(slope.abs().max()) > 0
        torch.testing.assert_close(guide.parameter("latent", SITE).detach(), latent - 0.3 * slope)

    def test_natural_parameters_are_infinite(self):
        _, guide = ready(AutoStraightThrough)
        natural = guide.natural_parameters()[SITE]
        assert bool(natural.isinf().all())
        assert torch.equal(natural.sign(), guide.mode()[SITE])


class TestReal:
    def test_gaussian_initial_values(self):
        _, guide = ready(AutoMeanFieldGaussian, NormalPrior(2.0), init_scale=0.0, init_deviation=0.25)
        q = guide.posterior()[SITE]
        assert bool((q.mean == 0).all())
        torch.testing.assert_close(q.stddev.detach(), torch.full((5, 4), 0.5))

    def test_gaussian_members(self):
        # 4000 draws, seed 0: mean within six standard errors, deviation within 10 % (sd 1.1 %).
        _, guide = ready(AutoMeanFieldGaussian, NormalPrior())
        q = guide.posterior()[SITE]
        draws = guide.sample_posterior(4000, seed=0)[SITE]
        mean, deviation = q.mean.detach(), q.stddev.detach()
        assert bool(((draws.mean(0) - mean).abs() < 6 * deviation / 4000**0.5).all())
        torch.testing.assert_close(draws.std(0), deviation, rtol=0.1, atol=0)

    def test_full_precision_is_a_real_point(self):
        _, guide = ready(AutoFullPrecision, NormalPrior())
        w = guide.mode()[SITE]
        assert torch.unique(w).numel() == w.numel()
        assert torch.equal(guide.sample_posterior(2, seed=0)[SITE][1], w)


def test_errors_name_the_site_and_the_prior():
    with pytest.raises(ModelError, match=r"layers\.0\.weight.*Normal"):
        AutoRelaxedSign(make_network(prior=NormalPrior()))(*ARGS)
    with pytest.raises(ModelError, match=r"layers\.0\.weight.*SignBernoulli"):
        AutoMeanFieldGaussian(make_network(prior=BinaryPrior()))(*ARGS)


def test_pyros_autodelta_refuses_binary_synapses():
    guide = AutoDelta(make_network())
    with pytest.raises((ValueError, NotImplementedError), match="discrete"):
        guide(*ARGS)


def test_list_survives_a_copy():
    # AutoGuideList is Pyro's and forgets its own model; our parts keep theirs.
    net = make_network()
    guides = AutoGuideList(net)
    guides.append(AutoRelaxedSign(poutine.block(net, expose=[SITE])))
    guides(*ARGS)
    twin = copy.deepcopy(guides)
    assert guides[0].model is not None
    torch.manual_seed(0)
    first = guides(*ARGS)[SITE]
    pyro.clear_param_store()
    torch.manual_seed(0)
    assert torch.equal(twin(*ARGS)[SITE], first)


def test_rule_and_guide_share_the_parameter(local_params):
    net, guide = ready(AutoRelaxedSign)
    rule = BayesianLearningRule(guide.parameters(), lr=0.01)
    before = guide.natural_parameters()[SITE].clone()
    MeanFieldELBO()(net, guide)(*ARGS).backward()
    rule.step()
    assert not torch.equal(guide.natural_parameters()[SITE], before)


def test_namesakes_keep_their_own_with_local_parameters(local_params):
    # Under Pyro's default setting the global store hands the second guide the first one's values.
    (net, one), (_, two) = ready(AutoRelaxedSign), ready(AutoRelaxedSign)
    before = two.natural_parameters()[SITE].clone()
    for guide in (one, two):
        Predictive(net, guide=guide.eval(), num_samples=2, parallel=True)(ARGS[0])
    assert torch.equal(two.natural_parameters()[SITE], before)
    assert not torch.equal(one.natural_parameters()[SITE], before)


def test_a_state_without_one_of_the_sites_is_refused_by_name():
    model = SpikingGLM(2, [3, 3], BernoulliRate())
    guide = AutoRelaxedSign(model)
    guide.initialize(torch.zeros(5, 1, 2), torch.zeros(1))
    state = {key: value for key, value in guide.state_dict().items() if "layers__1" not in key}
    assert len(state) < len(guide.state_dict())
    for lacking in (state, {}):
        with pytest.raises(RuntimeError, match=r"Missing key.*layers__1__weight"):
            AutoRelaxedSign(model).load_state_dict(lacking)
