"""Committees, exact posteriors and training of networks with convolutions and lateral synapses."""

import numpy as np
import pytest
import torch

from bisnn_pyro.errors import ModelError
from bisnn_pyro.inference import (
    AutoFullPrecision,
    AutoRelaxedSign,
    BayesianLearningRule,
    GradientSteps,
    Learner,
    TrainSettings,
    exact_posterior,
    posterior_draws,
    predict,
)
from bisnn_pyro.inference.committee import bytes_per_example
from bisnn_pyro.models import (
    BernoulliRate,
    BinaryPrior,
    CategoricalRate,
    Conv,
    Dense,
    NormalPrior,
    SpikingGLM,
)
from tests.inference.test_exact import brute_force
from tests.inference.tiny import make_spikes

IMAGE, N_INPUTS, N, S = (2, 4, 3), 24, 9, 5
HIDDEN = {
    "conv": [Conv(4, 3, padding=1, pool=2), 5],
    "recurrent": [Dense(6, recurrent=True), 5],
    "both": [Conv(3, 2, pooling="mean", pool=2), Dense(6, recurrent=True)],
}
EVERY = pytest.mark.parametrize("name", HIDDEN)


def setting(name, kind=AutoRelaxedSign, **options):
    """A network, a spread-out guide, spikes and targets of nine examples."""
    options = {"burn_in": 2, "gain": 2.0, "image_shape": IMAGE, **options}
    net = SpikingGLM(N_INPUTS, HIDDEN[name], CategoricalRate(3), **options)
    spikes, y = make_spikes(n=N, n_inputs=N_INPUTS), torch.arange(N) % 3
    guide = kind(net)
    guide.initialize(spikes, y)
    with torch.no_grad():
        for p in guide.parameters():
            p.add_(0.7 * torch.randn_like(p))
    return net, guide, spikes, y


def each_alone(net, guide, spikes, seed):
    """Probabilities of one member and one example at a time."""
    weights, out = guide.sample_posterior(S, seed=seed), np.empty((S, N, 3))
    net.eval()
    for s in range(S):
        for b in range(N):
            with torch.no_grad():
                run = net.simulate({k: w[s] for k, w in weights.items()}, spikes[:, b : b + 1])
            readout = run.readouts[-1][2:].transpose(0, 1).double()
            out[s, b] = torch.softmax(readout.mean(1), -1)[0].numpy()
    return out


class TestCommittee:
    @EVERY
    @pytest.mark.parametrize("memory", [1, 60_000, 2**27])
    def test_is_each_member_and_example_alone(self, name, memory):
        net, guide, spikes, y = setting(name)
        found = predict(net, posterior_draws(guide, 3), [spikes], n_draws=S, y=y, memory=memory)
        assert found.path == "dense"
        np.testing.assert_allclose(found.draws, each_alone(net, guide, spikes, 3), atol=1e-6)

    @EVERY
    @pytest.mark.parametrize("memory", [1, 60_000, 2**27])
    def test_of_normalised_networks(self, name, memory):
        net, guide, spikes, y = setting(name, normalise=True)
        net.set_reference(make_spikes(n=6, n_inputs=N_INPUTS, seed=5))
        found = predict(net, posterior_draws(guide, 3), [spikes], n_draws=S, y=y, memory=memory)
        np.testing.assert_allclose(found.draws, each_alone(net, guide, spikes, 3), atol=1e-6)

    def test_a_large_reference_runs_once_a_draw(self, monkeypatch):
        net, guide, spikes, _ = setting("conv", normalise=True)
        net.set_reference(make_spikes(n=6, n_inputs=N_INPUTS, seed=5))
        examples, simulate = [], net.simulate

        def spy(weights, x, *args, **options):
            examples.append(x.shape[1])
            assert args[1].moments is not None
            return simulate(weights, x, *args, **options)

        monkeypatch.setattr(net, "simulate", spy)
        memory = 3 * bytes_per_example(net, spikes.shape[0])
        predict(net, posterior_draws(guide, 3), [spikes], n_draws=S, memory=memory)
        assert examples == [3] * (S * N // 3)

    @EVERY
    def test_real_weights(self, name):
        net, guide, spikes, _ = setting(name, AutoFullPrecision, prior=NormalPrior())
        found = predict(net, posterior_draws(guide, 3), [spikes], n_draws=S)
        np.testing.assert_allclose(found.draws, each_alone(net, guide, spikes, 3), atol=1e-6)

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("conv", "hidden layer 0 is convolutional"),
            ("recurrent", "hidden layer 0 is recurrent"),
            ("both", "hidden layer 0 is convolutional"),
        ],
    )
    def test_packed_arithmetic_is_refused_and_never_chosen(self, name, reason):
        net, guide, spikes, _ = setting(name)
        with pytest.raises(ModelError, match=f"{reason}, and only dense layers"):
            predict(net, posterior_draws(guide, 1), [spikes], n_draws=1, path="packed")
        assert predict(net, posterior_draws(guide, 1), [spikes], n_draws=1).path == "dense"

    def test_plain_layers_given_as_descriptions_are_packed(self):
        net = SpikingGLM(N_INPUTS, [Dense(6), 5], CategoricalRate(3))
        guide, spikes = AutoRelaxedSign(net), make_spikes(n=N, n_inputs=N_INPUTS)
        guide.initialize(spikes, torch.arange(N) % 3)
        assert predict(net, posterior_draws(guide, 1), [spikes], n_draws=1).path == "packed"

    def test_memory_counts_maps(self):
        def need(*hidden):
            net = SpikingGLM(2 * 34 * 34, hidden, CategoricalRate(3), image_shape=(2, 34, 34))
            return bytes_per_example(net, 10) / 40

        inputs, units = 2 * 34 * 34, 16 * 17 * 17
        conv = Conv(16, 5, stride=2, padding=2)
        assert need(conv) == (2 * inputs + 4 * units) + 2 * units
        pooled = 16 * 8 * 8
        assert need(Conv(16, 5, stride=2, padding=2, pool=2)) == need(conv) + 3 * pooled
        assert need(Dense(20, recurrent=True)) == need(20) + 20


def tiny(kind, p):
    """Eight synapses in a hidden layer, two or three in the read-out."""
    options = {"prior": BinaryPrior(p), "credit": "end-to-end", "gain": 2.0, "burn_in": 2}
    if kind == "conv":
        hidden, shape = [Conv(2, 2, pool=2)], (1, 3, 3)
        return SpikingGLM(9, hidden, BernoulliRate(), image_shape=shape, readout="trained", **options)
    return SpikingGLM(2, [Dense(2, recurrent=True)], BernoulliRate(), **options)


class TestExactPosterior:
    @pytest.mark.parametrize("kind", ["conv", "recurrent"])
    def test_against_a_loop(self, kind):
        p = 0.7
        net = tiny(kind, p)
        spikes, y = make_spikes(n_inputs=net.synapses[0].n_inputs), torch.arange(6) % 2
        table, exact = brute_force(net, spikes, y, p), exact_posterior(net, spikes, y, chunk=100)
        evidence = torch.tensor(list(table.values())).double().logsumexp(0)
        assert float(exact.log_evidence) == pytest.approx(float(evidence), abs=1e-4)
        rows = torch.cat([w.flatten(1) for w in exact.weights.values()], dim=1)
        for row, log_prob in zip(rows.tolist(), exact.log_prob.tolist(), strict=True):
            assert log_prob == pytest.approx(table[tuple(row)] - float(evidence), abs=1e-4)
        assert float(exact.log_prob.std()) > 0.1, "every network explains the targets alike"


class TestTraining:
    @EVERY
    @pytest.mark.parametrize("options", [{}, {"window": 4, "particles": 2}], ids=str)
    def test_learns_by_sequences_and_by_windows(self, name, options):
        # Two classes: which half of the inputs is active.
        net = SpikingGLM(
            N_INPUTS, HIDDEN[name], BernoulliRate(), image_shape=IMAGE, gain=3.0, readout_gain=4.0, burn_in=2
        )
        y = torch.arange(40) % 2
        rates = torch.where((torch.arange(N_INPUTS) < 12) == (y == 1)[:, None], 0.6, 0.1)

        def encode(x, generator):
            return (torch.rand(14, *x.shape, generator=generator) < x).to(x.dtype)

        rule = GradientSteps(lambda model, guide: [BayesianLearningRule(guide.parameters(), lr=2.0)])
        settings = TrainSettings(epochs=12, batch_size=20, kl_weight=0.01, **options)
        learner = Learner(net, AutoRelaxedSign(net), encode, rule, settings)
        result = learner.fit(rates, y)
        nll = [row["nll"] for row in result.history.rows]
        assert nll[-1] < 0.7 * nll[0]
