"""The committee: however it is chunked, it is the Pyro model's own prediction."""

import numpy as np
import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import Predictive

from bisnn_pyro.errors import ModelError
from bisnn_pyro.inference import (
    AutoMeanFieldGaussian,
    AutoRelaxedSign,
    AutoStraightThrough,
    encode_all,
    point_draws,
    posterior_draws,
    predict,
)
from bisnn_pyro.inference.committee import bytes_per_example
from bisnn_pyro.models import NormalPrior, Window
from tests.inference.tiny import (
    LIKELIHOODS,
    encode_current,
    encode_spikes,
    make_network,
    make_spikes,
    make_targets,
)

N, S = 9, 5


def setting(likelihood="categorical-rate", kind=AutoRelaxedSign, **options):
    """A network, a spread-out guide, spikes and targets of nine examples."""
    net = make_network(likelihood, hidden=(6, 5), burn_in=2, gain=2.0, **options)
    spikes, y = make_spikes(n=N), make_targets(likelihood, N)
    guide = kind(net)
    guide.initialize(spikes, y)
    with torch.no_grad():
        for p in guide.parameters():
            p.add_(0.7 * torch.randn_like(p))
    return net, guide, spikes, y


@pytest.fixture(params=sorted(LIKELIHOODS))
def any_likelihood(request):
    return request.param


class TestAgainstPyro:
    def conditioned(self, net, weights, spikes, y):
        """The Pyro model's trace with all members' weights, under a plate of members."""
        net.eval()
        values = {k: w.unsqueeze(1) for k, w in weights.items()}  # [S, 1, O, I]: the data plate's place
        with torch.no_grad(), pyro.plate("members", S, dim=-2):
            return poutine.trace(poutine.condition(net, values)).get_trace(spikes, y)

    def test_log_likelihood_is_the_sites(self, any_likelihood):
        net, guide, spikes, y = setting(any_likelihood)
        prediction = predict(net, posterior_draws(guide, 3), [spikes], n_draws=S, y=y)
        site = self.conditioned(net, guide.sample_posterior(S, seed=3), spikes, y).nodes["y"]
        # The data set's scale is 1 here; what remains is the likelihood's own weight, 1 / T' for steps.
        expected = (site["fn"].log_prob(site["value"]) * site["scale"]).expand(S, N)
        assert prediction.log_likelihood.shape == (S, N)
        np.testing.assert_allclose(prediction.log_likelihood, expected.numpy(), rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("likelihood", ["categorical-rate", "bernoulli-rate"])
    def test_probabilities_are_the_sites(self, likelihood):
        net, guide, spikes, y = setting(likelihood)
        draws = predict(net, posterior_draws(guide, 3), [spikes], n_draws=S).draws
        fn = self.conditioned(net, guide.sample_posterior(S, seed=3), spikes, y).nodes["y"]["fn"]
        probs = fn.probs if likelihood == "categorical-rate" else torch.stack((1 - fn.probs, fn.probs), -1)
        np.testing.assert_allclose(draws, probs.numpy(), atol=1e-6)

    @pytest.mark.parametrize("likelihood", ["categorical-rate", "gaussian"])
    def test_predictive(self, likelihood):
        # 400 parallel samples under fixed weights (Predictive's own draws, replayed through predict).
        net, guide, spikes, _ = setting(likelihood)
        sites = [*net.weight_sites, "y"]
        with torch.no_grad():
            net.eval()
            out = Predictive(net, guide=guide.eval(), num_samples=400, parallel=True, return_sites=sites)(
                spikes
            )
        weights = {k: out[k].squeeze(1) for k in net.weight_sites}
        assert all(bool((w.abs() == 1).all()) for w in weights.values())

        def source(first, n):
            return {k: w[first : first + n] for k, w in weights.items()}

        prediction = predict(net, source, [spikes], n_draws=400)
        # Averages of 400 labels against the committee's probabilities: six standard errors, seed 0.
        if likelihood == "gaussian":
            error = out["y"].mean(0).numpy() - prediction.mean
            assert np.abs(error).max() < 6 * prediction.noise_scale / 20
        else:
            share = torch.nn.functional.one_hot(out["y"].long(), 3).double().mean(0).numpy()
            assert np.abs(share - prediction.mean).max() < 6 * 0.5 / 20

    def test_members_one_by_one(self, any_likelihood):
        net, guide, spikes, _ = setting(any_likelihood)
        draws = predict(net, posterior_draws(guide, 3), [spikes], n_draws=S).draws
        weights = guide.sample_posterior(S, seed=3)
        net.eval()
        for s in range(S):
            with torch.no_grad():
                run = net.simulate({k: w[s] for k, w in weights.items()}, spikes)
                readout = net.counted(run.readouts[-1], Window(burn_in=2)).double()
                alone = net.likelihood.predict(readout, Window(burn_in=2))
            np.testing.assert_allclose(draws[s], alone.numpy(), atol=1e-6)


class TestChunks:
    @pytest.mark.parametrize("memory", [1, 5_000, 40_000])
    def test_same_bits_however_chunked(self, any_likelihood, memory):
        net, guide, spikes, y = setting(any_likelihood)
        whole = predict(net, posterior_draws(guide, 1), [spikes], n_draws=S, y=y, path="dense")
        calls = []

        def source(first, n):
            calls.append((first, n))
            return guide.sample_posterior(n, seed=1, first=first)

        parts = predict(net, source, [spikes], n_draws=S, y=y, memory=memory, path="dense")
        assert np.array_equal(whole.draws, parts.draws)
        assert np.array_equal(whole.log_likelihood, parts.log_likelihood)
        assert [k for first, n in calls for k in range(first, first + n)] == list(range(S))
        assert memory > 1 or len(calls) == S

    def test_time_is_chunked_where_one_example_is_too_much(self, any_likelihood, monkeypatch):
        net, guide, spikes, _ = setting(any_likelihood)
        whole = predict(net, posterior_draws(guide, 1), [spikes], n_draws=S, path="dense")
        steps, simulate = [], net.simulate

        def spy(weights, x, *args, **options):
            steps.append(x.shape[0])
            return simulate(weights, x, *args, **options)

        monkeypatch.setattr(net, "simulate", spy)
        need = bytes_per_example(net, spikes.shape[0])
        parts = predict(net, posterior_draws(guide, 1), [spikes], n_draws=S, path="dense", memory=need // 3)
        assert max(steps) <= spikes.shape[0] // 3
        assert sum(steps) == S * spikes.shape[0] * spikes.shape[1]
        np.testing.assert_allclose(parts.draws, whole.draws, rtol=1e-6)

    @pytest.mark.parametrize("path", ["packed", "dense"])
    def test_blocks_are_one_data_set(self, path):
        net, guide, spikes, y = setting()
        options = {"n_draws": S, "y": y, "path": path}
        whole = predict(net, posterior_draws(guide, 1), [spikes], **options)
        cut = predict(net, posterior_draws(guide, 1), [spikes[:, :4], spikes[:, 4:]], **options)
        assert whole.path == path
        assert np.array_equal(whole.draws, cut.draws)
        assert np.array_equal(whole.log_likelihood, cut.log_likelihood)

    def test_first_members_do_not_depend_on_how_many_follow(self):
        net, guide, spikes, _ = setting()
        few = predict(net, posterior_draws(guide, 1), [spikes], n_draws=2).draws
        many = predict(net, posterior_draws(guide, 1), [spikes], n_draws=6).draws
        assert np.array_equal(few, many[:2])

    @pytest.mark.parametrize("path", ["packed", "dense"])
    def test_normalised_network(self, path):
        net, guide, spikes, y = setting(normalise=True)
        net.set_reference(make_spikes(n=4, seed=5))
        options = {"n_draws": S, "y": y, "path": path}
        whole = predict(net, posterior_draws(guide, 1), [spikes], **options)
        assert whole.draws.shape == (S, N, 3)
        parts = predict(net, posterior_draws(guide, 1), [spikes], memory=1, **options)
        assert np.array_equal(whole.draws, parts.draws)
        # An example's prediction has nothing to do with its neighbours.
        alone = predict(net, posterior_draws(guide, 1), [spikes[:, 3:4]], n_draws=S, path=path).draws
        np.testing.assert_allclose(alone[:, 0], whole.draws[:, 3], atol=1e-6)


class TestPaths:
    def test_packed_is_dense(self, any_likelihood):
        # Seed 0: no potential of these networks rounds to the other side of the threshold.
        net, guide, spikes, y = setting(any_likelihood)
        results = [
            predict(net, posterior_draws(guide, 1), [spikes], n_draws=S, y=y, path=path)
            for path in ("packed", "dense")
        ]
        assert [r.path for r in results] == ["packed", "dense"]
        np.testing.assert_allclose(results[0].draws, results[1].draws, atol=1e-5)
        np.testing.assert_allclose(results[0].log_likelihood, results[1].log_likelihood, rtol=1e-4)

    def test_auto_takes_what_can_run(self):
        net, guide, spikes, _ = setting()
        assert predict(net, posterior_draws(guide, 1), [spikes], n_draws=1).path == "packed"
        assert predict(net, point_draws(guide.mean()), [spikes], n_draws=1).path == "dense"

    def test_refusals(self):
        net, guide, spikes, _ = setting()
        with pytest.raises(ModelError, match="packed"):
            predict(net, point_draws(guide.mean()), [spikes], n_draws=1, path="packed")
        with pytest.raises(ModelError, match="unknown prediction path"):
            predict(net, posterior_draws(guide, 1), [spikes], n_draws=1, path="sideways")

    @pytest.mark.parametrize("path", ["packed", "dense"])
    def test_wrong_input_width(self, path):
        net, guide, _, _ = setting()
        spikes = make_spikes(n=N, n_inputs=7)
        with pytest.raises(ModelError, match="I = 4"):
            predict(net, posterior_draws(guide, 1), [spikes], n_draws=1, path=path)

    @pytest.mark.parametrize("path", ["packed", "dense"])
    def test_reference_of_another_length(self, path):
        net, guide, spikes, _ = setting(normalise=True)
        net.set_reference(make_spikes(n_steps=8, n=4))
        with pytest.raises(ModelError, match="reference batch has 8 steps"):
            predict(net, posterior_draws(guide, 1), [spikes], n_draws=1, path=path)


class TestPredictors:
    def test_mode_and_mean(self):
        net, guide, spikes, _ = setting()
        for weights in (guide.mode(), guide.mean()):
            draws = predict(net, point_draws(weights), [spikes], n_draws=2).draws
            assert np.array_equal(draws[0], draws[1])
            net.eval()
            with torch.no_grad():
                readout = net.simulate(weights, spikes).readouts[-1]
                alone = net.likelihood.predict(net.counted(readout, Window(burn_in=2)))
            np.testing.assert_allclose(draws[0], alone.numpy(), atol=1e-6)

    def test_point_guide(self):
        net, guide, spikes, _ = setting(kind=AutoStraightThrough)
        mode = predict(net, point_draws(guide.mode()), [spikes], n_draws=1).draws
        committee = predict(net, posterior_draws(guide, 0), [spikes], n_draws=3).draws
        assert all(np.array_equal(member, mode[0]) for member in committee)

    def test_regression(self):
        net, guide, spikes, y = setting("gaussian", AutoMeanFieldGaussian, prior=NormalPrior())
        prediction = predict(net, posterior_draws(guide, 0), [spikes], n_draws=S, y=y)
        assert prediction.draws.shape == (S, N)
        assert prediction.mean.shape == (N,)
        assert prediction.noise_scale == pytest.approx(0.5)
        z = (y.double().numpy() - prediction.draws) / 0.5
        expected = -0.5 * z**2 - np.log(0.5) - 0.5 * np.log(2 * np.pi)
        np.testing.assert_allclose(prediction.log_likelihood, expected, rtol=1e-5)

    def test_probabilities_are_averaged(self):
        net, guide, spikes, _ = setting(readout_gain=5.0)
        prediction = predict(net, posterior_draws(guide, 0), [spikes], n_draws=S)
        assert prediction.draws.shape == (S, N, 3)
        np.testing.assert_allclose(prediction.draws.sum(-1), 1, atol=1e-6)
        np.testing.assert_allclose(prediction.mean, prediction.draws.mean(0))
        logits = np.log(prediction.draws).mean(0)
        of_logits = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        assert np.abs(prediction.mean - of_logits).max() > 0.01
        assert prediction.noise_scale is None
        assert prediction.log_likelihood is None

    @pytest.mark.parametrize("likelihood", ["bernoulli-rate", "bernoulli-steps"])
    def test_two_classes(self, likelihood):
        net, guide, spikes, y = setting(likelihood)
        prediction = predict(net, posterior_draws(guide, 0), [spikes], n_draws=S, y=y)
        assert prediction.draws.shape == (S, N, 2)
        np.testing.assert_allclose(prediction.draws.sum(-1), 1, atol=1e-6)

    def test_no_members(self):
        net, guide, spikes, _ = setting()
        with pytest.raises(ModelError, match="member"):
            predict(net, posterior_draws(guide, 0), [spikes], n_draws=0)

    @pytest.mark.parametrize("training", [True, False])
    def test_modes_and_global_random_state_are_left_alone(self, training):
        net, guide, spikes, _ = setting()
        net.train(training)
        guide.train(training)
        torch.manual_seed(1)
        state = torch.get_rng_state()
        first = predict(net, posterior_draws(guide, 0), [spikes], n_draws=S).draws
        assert torch.equal(torch.get_rng_state(), state)
        torch.manual_seed(2)
        second = predict(net, posterior_draws(guide, 0), [spikes], n_draws=S).draws
        assert np.array_equal(first, second)
        assert net.training == guide.training == training

    @pytest.mark.parametrize("path", ["packed", "dense"])
    def test_mode_is_put_back_after_an_error(self, path):
        net, guide, spikes, _ = setting(normalise=True)
        net.train()
        with pytest.raises(ModelError, match="reference"):
            predict(net, posterior_draws(guide, 0), [spikes], n_draws=1, path=path)
        assert net.training


class TestEncoding:
    def test_seed_determines_spikes(self):
        x = torch.rand(260, 2)
        blocks = encode_all(encode_spikes, x, seed=3)
        assert [b.shape for b in blocks] == [(12, 250, 4), (12, 10, 4)]
        again = encode_all(encode_spikes, x, seed=3)
        other = encode_all(encode_spikes, x, seed=4)
        assert all(torch.equal(a, b) for a, b in zip(blocks, again, strict=True))
        assert not torch.equal(blocks[0], other[0])
        # Appending examples leaves the first block's spikes as they were.
        assert torch.equal(encode_all(encode_spikes, x[:250], seed=3)[0], blocks[0])

    def test_spikes_take_a_byte_and_currents_stay(self):
        x = torch.rand(5, 2)
        (spikes,) = encode_all(encode_spikes, x, seed=0)
        assert spikes.dtype == torch.uint8
        (currents,) = encode_all(encode_current, x, seed=0)
        assert torch.equal(currents, encode_current(x))

    def test_bytes_predict_like_floats(self):
        net, guide, spikes, _ = setting()
        floats = predict(net, posterior_draws(guide, 0), [spikes], n_draws=2).draws
        in_bytes = predict(net, posterior_draws(guide, 0), [spikes.to(torch.uint8)], n_draws=2).draws
        assert np.array_equal(floats, in_bytes)

    def test_global_random_state(self):
        state = torch.get_rng_state()
        encode_all(encode_spikes, torch.rand(3, 2, generator=torch.Generator().manual_seed(0)), seed=0)
        assert torch.equal(torch.get_rng_state(), state)
