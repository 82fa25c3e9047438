"""What changes how a posterior is trained: groups, PAC^m, warm start, averages, K, the loss per example."""

import math
from itertools import pairwise

import pyro
import pytest
import torch

from bisnn_pyro.errors import ModelError
from bisnn_pyro.inference import (
    AutoRelaxedSign,
    AutoStraightThrough,
    BayesianLearningRule,
    GradientSteps,
    Learner,
    MeanFieldELBO,
    Schedule,
    TrainSettings,
    WarmStart,
)
from bisnn_pyro.inference.kl_time import entropy_bits, forgetting
from bisnn_pyro.models import BernoulliRate, CategoricalSteps, SpikingGLM


def encode(x, generator=None):
    return x.expand(6, *x.shape)


def data(n=24, seed=0):
    x = torch.rand(n, 3, generator=torch.Generator().manual_seed(seed))
    return x, (x[:, 0] > x[:, 1]).long()


def network(likelihood=None):
    return SpikingGLM(
        3, [5], likelihood or BernoulliRate(), credit="end-to-end", readout="trained", normalise=True
    )


def bayes(lr=0.5):
    return GradientSteps(lambda model, guide: [BayesianLearningRule(guide.parameters(), lr)])


def adam(lr=0.05):
    return GradientSteps(lambda model, guide: [torch.optim.Adam(guide.parameters(), lr)])


def fit(settings, updater=None, guide=AutoRelaxedSign, points=None, seed=0, **options):
    model = network()
    made = guide(model)
    learner = Learner(model, made, encode, updater or adam(), settings, seed=seed)
    return model, made, learner.fit(*(points or data()), **options)


def same(one, other):
    return all(torch.equal(p, q) for p, q in zip(one.parameters(), other.parameters(), strict=True))


@pytest.fixture(autouse=True)
def own_store():
    """Another test's parameters of the same names would come out of Pyro's global store."""
    with pyro.get_param_store().scope():
        yield


class TestLossPerExample:
    def moved(self, n_copies, lr=3.0):
        x, y = data(8)
        settings = TrainSettings(epochs=1, batch_size=8 * n_copies, kl_weight=0.0, other_lr=1e-9)
        _, guide, _ = fit(settings, bayes(lr), points=(x.repeat(n_copies, 1), y.repeat(n_copies)))
        return guide.natural_parameters()

    def test_a_step_does_not_depend_on_the_size_of_the_data(self):
        """The paper's eta: the same data twice is the same step, where the KL has no weight."""
        once, twice = self.moved(1), self.moved(2)
        for name, value in once.items():
            torch.testing.assert_close(value, twice[name], rtol=1e-4, atol=1e-5)

    def test_halving_the_data_keeps_what_an_epoch_does(self):
        """K is the same after as many epochs, for N and N / 2: a preset stays right when N changes."""
        times = []
        for n in (24, 12):
            _, _, result = fit(
                TrainSettings(epochs=3, batch_size=4, kl_weight=0.1), bayes(0.5), points=data(n)
            )
            times.append(result.history.rows[-1]["kl_time"])
        # eta kl_weight / N a step, N / batch_size steps an epoch.
        assert times == pytest.approx([3 * 0.5 * 0.1 / 4] * 2, rel=1e-6)


class TestGroups:
    def test_loss_is_the_mean_of_the_groups(self):
        """Two groups: draws of their own on their own examples, the KL once."""
        model, (x, y) = network(), data(8)
        guide, updater = AutoRelaxedSign(model), adam(1e-12)
        model.dataset_size = 8
        guide.initialize(encode(x), y)
        updater.begin(model, guide, TrainSettings(groups=2, other_lr=1e-12))
        torch.manual_seed(3)
        (energy,) = updater.free_energies(encode(x), y)
        torch.manual_seed(3)
        drawn = {
            n: guide._training_distribution(n).expand((2, 1, *w.shape)).rsample()
            for n, w in guide.mode().items()
        }
        halves = []
        for k in range(2):
            part = slice(4 * k, 4 * k + 4)
            run = model.simulate({n: w[k, 0] for n, w in drawn.items()}, encode(x[part]))
            readout = model.counted(run.readouts[-1], updater_window())
            halves.append(-model.likelihood.log_prob(readout, y[part]).sum())
        assert float(energy.nll.detach()) == pytest.approx(float(sum(halves).detach()), rel=1e-5)
        exact = sum(torch.distributions.kl_divergence(q, fair(q)).sum() for q in guide.posterior().values())
        assert float(energy.kl.detach()) == pytest.approx(float(exact.detach()), rel=1e-5)

    def test_odd_batches_take_a_lower_divisor(self):
        model, (x, y) = network(), data(9)
        guide, updater = AutoRelaxedSign(model), adam()
        guide.initialize(encode(x), y)
        updater.begin(model, guide, TrainSettings(groups=4))
        list(updater.free_energies(encode(x), y))
        assert updater.elbo.num_particles == 3

    @pytest.mark.parametrize("window", [None, 2])
    def test_particles_times_groups(self, window):
        model = SpikingGLM(3, [5], CategoricalSteps(2), burn_in=1)
        guide = AutoRelaxedSign(model)
        settings = TrainSettings(epochs=2, batch_size=8, particles=2, groups=2, window=window)
        result = Learner(model, guide, encode, adam(), settings).fit(*data())
        assert all(math.isfinite(row["loss"]) for row in result.history)

    def test_gradient_is_less_noisy(self):
        """Of 200 gradients each, the variance falls by more than a third with four groups; seed 0."""
        spread = []
        for groups in (1, 4):
            pyro.clear_param_store()
            model, (x, y) = network(), data(24)
            torch.manual_seed(0)
            guide, updater = AutoRelaxedSign(model), adam(1e-12)
            model.dataset_size = 24
            guide.initialize(encode(x), y)
            updater.begin(model, guide, TrainSettings(groups=groups, other_lr=1e-12))
            found = []
            for _ in range(200):
                list(updater.free_energies(encode(x), y))
                found.append(torch.cat([p.grad.flatten() for p in guide.parameters()]))
            spread.append(float(torch.stack(found).var(0).sum()))
        assert spread[1] < 0.66 * spread[0]


def updater_window():
    from bisnn_pyro.models import Window

    return Window()


def fair(q):
    from bisnn_pyro.distributions import SignBernoulli

    return SignBernoulli(torch.zeros(q.event_shape)).to_event(len(q.event_shape))


class TestCommitteeWeight:
    @pytest.mark.parametrize("kind", [BernoulliRate, lambda: CategoricalSteps(2)])
    @pytest.mark.parametrize("groups", [1, 2])
    def test_against_the_formula(self, kind, groups):
        """(N/B) sum_n [-(1-a) mean_k log p_k - a log mean_k p_k], by hand from the members' likelihoods."""
        model, (x, y), share = network(kind()), data(8), 0.4
        guide = AutoRelaxedSign(model)
        guide.initialize(encode(x), y)
        model.dataset_size = 16
        particles = 3
        updater = adam(1e-12)
        updater.begin(
            model,
            guide,
            TrainSettings(particles=particles, groups=groups, committee_weight=share, other_lr=1e-12),
        )
        torch.manual_seed(1)
        (energy,) = updater.free_energies(encode(x), y)
        torch.manual_seed(1)
        n = particles * groups
        drawn = {
            k: guide._training_distribution(k).expand((n, 1, *w.shape)).rsample()
            for k, w in guide.mode().items()
        }
        total, size = 0.0, 8 // groups
        for g in range(groups):
            part = slice(g * size, (g + 1) * size)
            logs = []
            for k in range(particles):
                run = model.simulate({m: w[k * groups + g, 0] for m, w in drawn.items()}, encode(x[part]))
                logs.append(
                    model.likelihood.log_prob(model.counted(run.readouts[-1], updater_window()), y[part])
                )
            logs = torch.stack(logs)
            vote = logs.logsumexp(0) - math.log(particles)
            total += float(-((1 - share) * logs.mean(0) + share * vote).sum().detach())
        assert float(energy.nll.detach()) == pytest.approx(total * 2, rel=1e-5)

    def test_needs_particles(self):
        with pytest.raises(ModelError, match="2 or more particles"):
            TrainSettings(committee_weight=0.5)
        assert MeanFieldELBO().committee_weight == 0


class TestWarmStart:
    settings = TrainSettings(epochs=4, batch_size=8, warm_start=WarmStart(0.5, 0.02, 2.0), validate_every=1)

    def test_first_phase_is_the_straight_through_net(self):
        """Up to the share, latents move exactly as those of the straight-through guide."""
        first = TrainSettings(epochs=4, batch_size=8, warm_start=WarmStart(0.99, 0.02, 2.0), kl_weight=0.0)
        _, warm, _ = fit(first)
        _, point, _ = fit(
            TrainSettings(epochs=4, batch_size=8, kl_weight=0.0), adam(0.02), AutoStraightThrough
        )
        for name in warm.sites:
            latent = point.parameter("latent", name)
            # The last batch of the four epochs comes after 11/12 of the training.
            torch.testing.assert_close(warm.parameter("natural", name), latent)

    def test_latents_become_natural_parameters(self):
        model = network()
        guide = AutoRelaxedSign(model)
        x, y = data()
        guide.initialize(encode(x), y)
        guide.begin_warm_start(2.0)
        before = {n: guide.parameter("natural", n).detach().clone() for n in guide.sites}
        expected = {n: 2.0 * w / w.square().mean().sqrt() for n, w in before.items()}
        for ended in (False, True):  # the posterior is the same just before and after
            if ended:
                guide.end_warm_start()
            for name, natural in guide.natural_parameters().items():
                torch.testing.assert_close(natural, expected[name])
        assert not guide.warming

    def test_resumes_within_it_and_after(self):
        whole_model, whole, result = fit(self.settings)
        for stop in (1, 3):
            kept = {}

            def keep(history, make, stop=stop, kept=kept):
                if len(history) == stop:
                    kept["checkpoint"] = make()

            fit(self.settings, on_epoch=keep)
            model, guide, resumed = fit(self.settings, resume=kept["checkpoint"])
            assert same(guide, whole)
            assert same(model, whole_model)
            assert [r["nll"] for r in resumed.history] == [r["nll"] for r in result.history]

    def test_guides_without_one_refuse(self):
        with pytest.raises(ModelError, match=r"train\.warm_start"):
            fit(self.settings, guide=AutoStraightThrough)


class TestAverage:
    def test_is_the_average_of_the_parameters(self):
        """With a decay near 1 it is the mean of all positions; recorded step by step."""
        seen, updater = [], adam()
        model = network()
        guide = AutoRelaxedSign(model)
        learner = Learner(model, guide, encode, updater, TrainSettings(epochs=2, batch_size=8, average=0.999))
        step = updater._check_parameters
        updater._check_parameters = lambda: (
            seen.append([p.detach().clone() for p in guide.parameters()]),
            step(),
        )
        learner.fit(*data())
        for k, parameter in enumerate(guide.parameters()):
            torch.testing.assert_close(parameter.detach(), torch.stack([s[k] for s in seen]).mean(0))

    def test_resumes_to_the_same_bits(self):
        settings = TrainSettings(epochs=4, batch_size=8, average=0.9)
        _, whole, _ = fit(settings)
        kept = {}
        fit(settings, on_epoch=lambda history, make: kept.setdefault(len(history), make()))
        _, guide, _ = fit(settings, resume=kept[2])
        assert same(guide, whole)


class TestHowFarTheKLHasActed:
    def test_forgetting_is_what_a_step_of_the_kl_alone_does(self):
        """Near the prior a step on the KL shrinks lambda by the share returned, for every optimiser."""
        for make in (
            lambda p: BayesianLearningRule(p, 0.3),
            lambda p: torch.optim.SGD(p, 0.3),
        ):
            natural = torch.full((5,), 1e-3, dtype=torch.float64, requires_grad=True)
            optimiser = make([natural])
            (0.1 * natural.square().sum() / 2).backward()  # the KL to a fair coin is lambda^2 / 2 near 0
            optimiser.step()
            assert forgetting(optimiser, 0.1) == pytest.approx(
                1 - float(natural.detach()[0]) / 1e-3, rel=1e-4
            )

    def test_adam_by_its_second_moment(self):
        natural = torch.zeros(4, requires_grad=True)
        optimiser = torch.optim.Adam([natural], 0.1)
        (3.0 * natural).sum().backward()
        assert forgetting(optimiser, 0.5) is None  # before the first step nothing is known
        optimiser.step()
        moved = 1 / torch.cosh(natural.detach()) ** 2
        assert forgetting(optimiser, 0.5) == pytest.approx(0.5 * 0.1 / 3.0 * float(moved.mean()), rel=1e-5)

    def test_entropy(self):
        model = network()
        guide = AutoRelaxedSign(model)
        guide.initialize(encode(data()[0]), data()[1])
        with torch.no_grad():
            for p in guide.parameters():
                p.fill_(0.5 * math.log(3.0))  # P = 3/4
        assert entropy_bits(guide) == pytest.approx(2 - 0.75 * math.log2(3), rel=1e-6)

    def test_history_has_both(self):
        _, _, result = fit(TrainSettings(epochs=3, kl_weight=Schedule(0.5)))
        times = [row["kl_time"] for row in result.history]
        assert all(a < b for a, b in pairwise(times))
        assert all(0 < row["entropy_bits"] <= 1 for row in result.history)
