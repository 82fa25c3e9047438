"""Posteriors of a straight-through net, each against what it is defined to be."""

import itertools
import math
from functools import partial

import pyro
import pytest
import torch
from scipy import stats

from bisnn_pyro.distributions import SignBernoulli
from bisnn_pyro.errors import ModelError
from bisnn_pyro.inference import (
    AutoBayesianLastLayer,
    AutoBernoulliLaplace,
    AutoCheckpoints,
    AutoDropout,
    AutoScaledLatents,
    AutoSignSWAG,
    AutoStraightThrough,
    AutoUniformFlips,
    flip_natural,
    posterior_draws,
    predict,
)
from bisnn_pyro.models import BernoulliRate, CategoricalRate, Conv, SpikingGLM
from bisnn_pyro.models.packed import why_not_packed
from tests.inference.learner.fitting import (
    X_VAL,
    Y_VAL,
    X,
    Y,
    adam,
    assert_same,
    make_learner,
    without_seconds,
)


def bare(shape=(3, 4), n_examples=None, dtype=torch.float32):
    """A model with one site ``w`` and no likelihood."""

    def model():
        return pyro.sample("w", SignBernoulli(torch.zeros(shape, dtype=dtype)).to_event(len(shape)))

    model.dataset_size = n_examples
    return model


def ready(kind, *, shape=(3, 4), n_examples=None, dtype=torch.float32, **options):
    guide = kind(bare(shape, n_examples, dtype), **options)
    guide.initialize()
    return guide


def set_latent(guide, value):
    with torch.no_grad():
        guide.parameter("latent", "w").copy_(torch.as_tensor(value))


def natural(guide):
    return guide.natural_parameters()["w"]


class TestUniformFlips:
    def test_flip_rate(self):
        """Of 200,000 draws, within 5 standard errors: a false alarm in 2 million seeds."""
        kappa, n = 0.8, 1000
        guide = ready(AutoUniformFlips, shape=(10, 20), kappa=kappa)
        flips = (guide.sample_posterior(n, seed=0)["w"] != guide._value("w")).double()
        rate = 1 / (1 + math.exp(2 * kappa))
        error = math.sqrt(rate * (1 - rate) / flips.numel())
        assert abs(float(flips.mean()) - rate) < 5 * error

    def test_it_is_blind_to_the_size_of_a_latent(self):
        guide = ready(AutoUniformFlips, shape=(4,), kappa=1.5)
        set_latent(guide, [-3.0, -0.001, 0.001, 3.0])
        assert natural(guide).tolist() == [-1.5, -1.5, 1.5, 1.5]


class TestScaledLatents:
    def test_the_definition(self):
        guide = ready(AutoScaledLatents, shape=(4,), scale=2.0)
        set_latent(guide, [-3.0, -1.0, 1.0, 3.0])
        assert torch.allclose(natural(guide), 2 * torch.tensor([-3.0, -1.0, 1.0, 3.0]) / math.sqrt(5))

    @pytest.mark.parametrize("factor", [1e-12, 0.1, 1e12])
    def test_the_scale_of_latents_does_not_matter(self, factor):
        guide = ready(AutoScaledLatents)
        before = natural(guide)
        set_latent(guide, factor * guide.parameter("latent", "w"))
        assert torch.allclose(natural(guide), before, rtol=1e-4)

    def test_latents_without_a_spread_are_a_point(self):
        guide = ready(AutoScaledLatents)
        set_latent(guide, torch.full((3, 4), -0.2))
        assert bool(natural(guide).isfinite().all())
        assert guide.mean()["w"].unique().tolist() == [-1.0]


class TestSignSWAG:
    def trajectory(self, guide, *, n=40, drift=0.0):
        """Latents before each of n batches."""
        source = torch.Generator().manual_seed(0)
        recorded = []
        for k in range(n):
            latent = torch.randn((3, 4), generator=source, dtype=torch.float64) + drift
            set_latent(guide, latent)
            guide.anneal(k / n)
            recorded.append(guide.parameter("latent", "w").detach().clone())
        return torch.stack(recorded)

    @pytest.mark.parametrize(
        ("dtype", "drift", "rtol"), [(torch.float32, 0.5, 1e-4), (torch.float64, 8.0, 1e-9)]
    )
    def test_it_is_the_normal_of_the_recorded_trajectory(self, dtype, drift, rtol):
        guide = ready(AutoSignSWAG, dtype=dtype, share=0.25)
        last = self.trajectory(guide, drift=drift)[30:].double()
        z = last.mean(0) / last.std(0, correction=0)
        expected = 0.5 * (stats.norm.logcdf(z) - stats.norm.logsf(z))
        assert torch.allclose(natural(guide).double(), torch.as_tensor(expected), rtol=rtol)

    def test_a_shift_loses_no_digits(self):
        """A second moment in float32 would be 1e6 with a spread of 1: the variance lost."""
        guide = ready(AutoSignSWAG, share=1.0)
        recorded = self.trajectory(guide, drift=1000.0).double()
        _, square = guide._moments("w")
        variance = square / guide.count
        assert torch.allclose(variance.double(), recorded.var(0, correction=0), rtol=1e-3)

    def test_frozen_latents_are_a_point(self):
        guide = ready(AutoSignSWAG, shape=(3,))
        set_latent(guide, [-0.1, 0.0, 0.1])
        for _ in range(3):
            guide.anneal(0.9)
        assert natural(guide).tolist() == [-40.0, 0.0, 40.0]

    def test_before_the_last_share_it_is_the_network(self):
        guide = ready(AutoSignSWAG)
        guide.anneal(0.7)
        assert torch.equal(guide.mean()["w"], guide._value("w"))


class TestLaplace:
    def energy(self, w, quadratic, linear):
        return 0.5 * torch.einsum("...i,ij,...j->...", w, quadratic, w) + w @ linear

    def quadratic(self, n=5):
        source = torch.Generator().manual_seed(1)
        a = torch.randn((n, n), generator=source, dtype=torch.float64)
        return a @ a.T, torch.randn(n, generator=source, dtype=torch.float64)

    def test_the_energy_of_a_flip_is_exact_for_a_quadratic(self):
        """At every network, whatever the couplings: 2 T lambda_i w_i = E(-w_i) - E(w_i)."""
        quadratic, linear = self.quadratic()
        for signs in itertools.product((-1.0, 1.0), repeat=5):
            w = torch.tensor(signs, dtype=torch.float64)
            found = flip_natural(w, quadratic @ w + linear, quadratic.diagonal(), temperature=0.7)
            for i in range(5):
                flipped = w.clone()
                flipped[i] *= -1
                rise = self.energy(flipped, quadratic, linear) - self.energy(w, quadratic, linear)
                assert math.isclose(float(2 * 0.7 * found[i] * w[i]), float(rise), rel_tol=1e-9)

    def test_the_posterior_of_uncoupled_synapses_is_exact(self):
        """Marginals of exp(-E / T), summed over all networks."""
        quadratic, linear = torch.diag(self.quadratic()[0].diagonal()), self.quadratic()[1]
        networks = torch.tensor([*itertools.product((-1.0, 1.0), repeat=5)], dtype=torch.float64)
        p = torch.softmax(-self.energy(networks, quadratic, linear) / 1.3, 0)
        for w in (networks[0], networks[13]):
            found = flip_natural(w, quadratic @ w + linear, quadratic.diagonal(), temperature=1.3)
            assert torch.allclose(torch.tanh(found), p @ networks)

    def gathered(self, gradients, *, dataset_size=10, progress=0.8, **options):
        """A guide that has seen these gradients of the loss per example, one batch each."""
        guide = ready(AutoBernoulliLaplace, shape=(2,), n_examples=dataset_size, **options)
        set_latent(guide, [-0.1, 0.1])
        for gradient in gradients:
            guide.anneal(progress)
            (guide.train()()["w"] * gradient).sum().backward()
        guide.anneal(progress)
        return guide

    def test_gradients_of_batches_give_slope_and_fisher_information(self):
        """All 64 batches of 3 out of 4 examples, drawn with replacement: the expectation, exactly."""
        single = torch.tensor([[0.1, -0.3], [-0.2, 0.1], [0.3, -0.1], [0.05, -0.2]])
        batches = [torch.stack(batch).mean(0) for batch in itertools.product(single, repeat=3)]
        guide = self.gathered(batches, dataset_size=4, batch_size=3, temperature=0.5)
        expected = flip_natural(guide._value("w"), single.sum(0), single.square().sum(0), 0.5)
        assert int(guide.count) == 64
        assert torch.allclose(natural(guide), expected.detach(), rtol=1e-4)

    def test_a_flip_that_would_pay_is_a_fair_coin_of_the_trained_sign(self):
        guide = self.gathered(torch.tensor([[-1.0, 1.0]]), batch_size=2)  # both push inwards
        assert torch.allclose(natural(guide), torch.zeros(2), atol=1e-30)
        assert guide.mode()["w"].tolist() == [-1.0, 1.0]
        assert torch.allclose(guide.mean()["w"], torch.zeros(2), atol=1e-30)

    def test_parts_of_an_update_add_up(self):
        """Two backward passes between two schedules are one gradient."""
        guide = ready(AutoBernoulliLaplace, shape=(2,), n_examples=10, batch_size=2)
        guide.anneal(0.8)
        for part in ([1.0, 0.0], [0.5, -2.0]):
            (guide.train()()["w"] * torch.tensor(part)).sum().backward()
        guide.anneal(0.9)
        assert guide._moments("w")[0].tolist() == [1.5, -2.0]
        assert int(guide.count) == 1

    def test_early_gradients_do_not_count(self):
        guide = self.gathered(torch.ones(3, 2), progress=0.5, batch_size=2)
        assert int(guide.count) == 0

    def test_it_needs_the_number_of_examples(self):
        guide = ready(AutoBernoulliLaplace, batch_size=2)
        with pytest.raises(ModelError, match="dataset_size"):
            guide.anneal(0.9)


class TestCheckpoints:
    def run(self, guide, n=20):
        """Latents that change before each of n batches, and once after the last."""
        source = torch.Generator().manual_seed(2)
        recorded = []
        for k in range(n + 1):
            set_latent(guide, torch.randn((3, 4), generator=source))
            recorded.append(guide._value("w").detach().clone())
            if k < n:
                guide.anneal(k / n)
        return recorded

    def test_members_are_the_recorded_signs_newest_first(self):
        guide = ready(AutoCheckpoints, snapshots=6, share=0.5)
        recorded = self.run(guide)
        members = guide.sample_posterior(13, seed=3)["w"]
        for i, k in enumerate((20, 18, 16, 14, 12, 10)):  # a tenth of training apart, from a half to the end
            assert torch.equal(members[i], recorded[k])
            assert torch.equal(members[i + 6], recorded[k])
        assert torch.equal(members[12], recorded[20])
        assert torch.allclose(guide.mean()["w"], members[:6].mean(0), atol=1e-6)

    def test_a_single_snapshot_is_the_trained_network(self):
        guide = ready(AutoCheckpoints, snapshots=1)
        recorded = self.run(guide)
        assert torch.equal(guide.sample_posterior(1, seed=0)["w"][0], recorded[-1])

    def test_there_are_fewer_before_the_end(self):
        guide = ready(AutoCheckpoints, snapshots=6)
        guide.anneal(0.4)
        assert guide.networks()["w"].shape == (1, 3, 4)
        guide.anneal(0.62)
        assert guide.networks()["w"].shape == (3, 3, 4)


class TestDropout:
    def test_mean_and_variance(self):
        """Each input's factor over 20,000 draws, within 5 standard errors (4 inputs)."""
        rate, n = 0.3, 20_000
        guide = ready(AutoDropout, rate=rate)
        factor = (guide.sample_posterior(n, seed=0)["w"] * guide.mode()["w"]).double()
        variance = rate / (1 - rate)
        assert torch.allclose(guide.posterior()["w"].variance, torch.full((3, 4), variance))
        assert float((factor.mean(0) - 1).abs().max()) < 5 * math.sqrt(variance / n)
        kept = 1 / (1 - rate)
        spread = math.sqrt(kept**4 * rate * (1 - rate))  # of w^2, which is 0 or kept^2
        assert float((factor.square().mean(0) - kept).abs().max()) < 5 * spread / math.sqrt(n)

    def test_whole_inputs_are_silenced(self):
        draws = ready(AutoDropout, rate=0.5).sample_posterior(50, seed=0)["w"]
        silent = draws == 0
        assert torch.equal(silent.all(1), silent.any(1))
        together = silent[:, 0].double().T.corrcoef() - torch.eye(4)
        assert float(together.abs().max()) < 0.6  # inputs are independent: 4 standard errors

    def test_channels_of_a_convolution_are_silenced(self):
        model = SpikingGLM(
            27, [Conv(4, 2), 5], CategoricalRate(2), image_shape=(3, 3, 3), credit="end-to-end"
        )
        guide = AutoDropout(model, rate=0.5)
        guide.initialize(torch.ones(5, 1, 27), torch.zeros(1))
        draws = guide.sample_posterior(20, seed=0)
        silent = (draws["layers.0.weight"] == 0).reshape(20, 4, 3, 4)
        assert torch.equal(silent.all(-1), silent.any(-1))
        silent = (draws["layers.1.weight"] == 0).all(1)
        assert not bool((silent[:, ::2] == silent[:, 1::2]).all())

    def test_the_gradient_goes_through_the_units_that_are_left(self):
        guide = ready(AutoDropout, rate=0.5)
        w = guide.train()()["w"]
        w.sum().backward()
        assert torch.equal(guide.parameter("latent", "w").grad, 2 * (w != 0).float())

    def test_particles_are_silenced_one_by_one(self):
        guide = ready(AutoDropout, rate=0.5)
        with pyro.plate("particles", 50, dim=-1):
            w = guide()["w"]
        assert w.shape == (50, 3, 4)
        assert len({tuple(row) for row in (w[:, 0] == 0).tolist()}) > 8

    def test_packed_arithmetic_refuses_it(self):
        model = SpikingGLM(4, [6], BernoulliRate())
        guide = AutoDropout(model, rate=0.01)
        spikes = (torch.rand(10, 7, 4, generator=torch.Generator().manual_seed(0)) < 0.5).float()
        guide.initialize(spikes, torch.zeros(7))
        source = posterior_draws(guide, seed=0)
        assert why_not_packed(model, source(0, 1)) == "layers.0.weight is not binary"
        with pytest.raises(ModelError, match=r"packed prediction cannot run here: .* not binary"):
            predict(model, source, [spikes], n_draws=3, path="packed")
        assert predict(model, source, [spikes], n_draws=3).path == "dense"

    @pytest.mark.parametrize("rate", [0.0, 1.0, -0.1])
    def test_rates(self, rate):
        with pytest.raises(ModelError, match="guide rate"):
            AutoDropout(bare(), rate=rate)


class TestLastLayer:
    def net(self, **options):
        return SpikingGLM(4, (6,), BernoulliRate(), gain=2.0, **options)

    def test_hidden_synapses_are_points_and_the_last_are_a_posterior(self):
        guide = AutoBayesianLastLayer(self.net(readout="trained"), init_scale=0.5)
        guide.initialize(torch.ones(5, 1, 4), torch.zeros(1))
        draws = guide.sample_posterior(2000, seed=0)
        assert torch.equal(draws["layers.0.weight"], guide.mode()["layers.0.weight"].expand(2000, 6, 4))
        mean = torch.tanh(guide.parameter("natural", "readout.weight")).detach()
        error = (draws["readout.weight"].mean(0) - mean).abs()
        assert float(error.max()) < 5 / math.sqrt(2000)

    def test_latents_get_the_straight_through_gradient(self):
        guide = AutoBayesianLastLayer(self.net(readout="trained"))
        guide.initialize(torch.ones(5, 1, 4), torch.zeros(1))
        guide.train()(None)["layers.0.weight"].mul(3).sum().backward()
        assert guide.parameter("natural", "layers.0.weight").grad.unique().tolist() == [3.0]

    def test_a_fixed_read_out_is_refused(self):
        guide = AutoBayesianLastLayer(self.net())
        with pytest.raises(ModelError, match=r"network\.readout = 'trained'"):
            guide.initialize(torch.ones(5, 1, 4), torch.zeros(1))


@pytest.mark.parametrize(
    "kind",
    [
        AutoUniformFlips,
        AutoScaledLatents,
        AutoSignSWAG,
        partial(AutoBernoulliLaplace, batch_size=16),
        partial(AutoCheckpoints, snapshots=4),
        partial(AutoDropout, rate=0.1),
        AutoBayesianLastLayer,
    ],
    ids=["flips", "scaled-latents", "sign-swag", "laplace", "checkpoints", "dropout", "last-layer"],
)
def test_training_and_resuming(kind, tmp_path):
    """The loss falls, and a resumed run has the same bits, within the part that is gathered as well."""

    def learner():
        options = {"credit": "end-to-end", "readout": "trained", "gain": 4.0, "readout_gain": 10.0}
        net = SpikingGLM(4, (24,), BernoulliRate(), **options)
        return make_learner(
            net, kind, epochs=12, seed=5, optimisers=adam(0.03), restore_best=False, kl_weight=0.0
        )

    whole, files = learner(), []

    def keep(history, checkpoint):
        files.append(tmp_path / f"{len(history)}.pt")
        torch.save(checkpoint(), files[-1])

    expected = whole.fit(X, Y, X_VAL, Y_VAL, on_epoch=keep)
    losses = [row["loss"] for row in expected.history]
    assert sum(losses[-3:]) < 0.97 * sum(losses[:3])
    for epoch in (5, 10):
        saved = torch.load(files[epoch - 1], weights_only=True)
        torch.manual_seed(77)
        rest = learner()
        result = rest.fit(X, Y, X_VAL, Y_VAL, resume=saved)
        assert without_seconds(result.history) == without_seconds(expected.history)
        assert_same(whole, rest)
    members = whole.guide.sample_posterior(4, seed=1)
    assert not all(torch.equal(w[0], w[1]) and torch.equal(w[0], w[2]) for w in members.values())


def test_the_network_that_is_read_off_is_the_straight_through_net():
    """Same seed, same latents, bit for bit."""
    common = {"optimisers": adam(0.05), "restore_best": False}
    plain = make_learner(kind=AutoStraightThrough, **common)
    plain.fit(X, Y)
    for kind in (
        AutoUniformFlips,
        AutoSignSWAG,
        AutoCheckpoints,
        partial(AutoBernoulliLaplace, batch_size=16),
    ):
        learner = make_learner(kind=kind, **common)
        learner.fit(X, Y)
        site = "layers.0.weight"
        one, other = (each.guide.parameter("latent", site) for each in (plain, learner))
        assert torch.equal(one, other)


@pytest.mark.parametrize("options", [{"restore_best": True}, {"restore_best": False, "patience": 3}])
def test_a_posterior_of_the_end_is_not_restored_from_the_middle(options):
    with pytest.raises(ModelError, match=r"AutoSignSWAG .* set train\.restore_best = false"):
        make_learner(kind=AutoSignSWAG, optimisers=adam(), **options).fit(X, Y)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (AutoUniformFlips, {"kappa": 0.0}, "guide kappa"),
        (AutoScaledLatents, {"scale": math.inf}, "guide scale"),
        (AutoSignSWAG, {"share": 0.0}, "guide share"),
        (AutoBernoulliLaplace, {"batch_size": 2, "temperature": -1.0}, "guide temperature"),
        (AutoCheckpoints, {"snapshots": 0}, "guide snapshots"),
        (AutoCheckpoints, {"share": 1.5}, "guide share"),
    ],
)
def test_settings_out_of_range(kind, options, message):
    with pytest.raises(ModelError, match=message):
        kind(bare(), **options)


def test_certain_signs_have_no_entropy():
    entropy = SignBernoulli(torch.tensor([-math.inf, 0.0, math.inf])).entropy()
    assert torch.allclose(entropy, torch.tensor([0.0, math.log(2), 0.0]))
