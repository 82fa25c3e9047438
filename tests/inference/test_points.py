"""A point's spikes in evaluation depend on the seed and its own values, not on the points around it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from bisnn_pyro.data import BernoulliRateEncoder, DirectEncoder, LatencyEncoder, PopulationEncoder
from bisnn_pyro.inference import (
    AutoRelaxedSign,
    BayesianLearningRule,
    EarlyVotes,
    GradientSteps,
    Learner,
    TrainSettings,
    encode_all,
    inputs,
    posterior_draws,
    predict,
)
from bisnn_pyro.inference.committee import bytes_per_example
from bisnn_pyro.inference.inputs import EncodedBlocks, chosen_rows
from bisnn_pyro.models import CategoricalRate, EscapeNeuron, SpikingGLM, Window
from bisnn_pyro.models.architecture import Conv, Dense
from tests.inference.on_demand import OnDemand
from tests.inference.tiny import encode_spikes

T, F, N, S = 8, 16, 12, 5
X = torch.rand(N, F, generator=torch.Generator().manual_seed(0))
ENCODERS = {
    "rate": BernoulliRateEncoder(n_steps=T),
    "population": PopulationEncoder(n_neurons=3, n_steps=T),
    "population-currents": PopulationEncoder(n_neurons=3, n_steps=T, stochastic=False),
    "latency": LatencyEncoder(n_steps=T),
    "direct": DirectEncoder(n_steps=T),
    "function": lambda x, generator: encode_spikes(x, generator, T),
}
NETWORKS = {
    "dense": ([7, 5], {}),
    "normalised": ([7, 5], {"normalise": True}),
    "recurrent": ([Dense(6, recurrent=True)], {}),
    "conv": ([Conv(3, 3, pool=2), 5], {"image_shape": (1, 4, 4), "normalise": True}),
}


def spikes_of(encode, x, seed=0):
    return torch.cat([block.float() for block in encode_all(encode, x, seed)], dim=1)


@pytest.fixture(params=ENCODERS)
def encoder(request):
    return ENCODERS[request.param]


class TestEncoding:
    def test_permuted_chosen_and_on_demand(self, encoder, monkeypatch):
        monkeypatch.setattr(inputs, "_ENCODING_BLOCK", 5)
        whole, order = spikes_of(encoder, X), torch.randperm(N, generator=torch.Generator().manual_seed(1))
        assert torch.equal(spikes_of(encoder, X[order]), whole[:, order])
        assert torch.equal(spikes_of(encoder, X[3:6]), whole[:, 3:6])
        assert torch.equal(spikes_of(encoder, OnDemand(X.numpy())), whole)
        some = chosen_rows(OnDemand(X.numpy()), order[:4].numpy())
        assert torch.equal(spikes_of(encoder, some), whole[:, order[:4]])
        monkeypatch.setattr(inputs, "_ENCODING_BLOCK", 250)
        assert torch.equal(spikes_of(encoder, X), whole)

    @given(st.lists(st.integers(0, N - 1), min_size=1, max_size=20))
    @settings(max_examples=20, deadline=None)
    def test_any_selection(self, index):
        encoder = ENCODERS["population"]
        assert torch.equal(spikes_of(encoder, X[index]), spikes_of(encoder, X)[:, index])

    def test_zero_has_one_sign(self):
        zero = torch.zeros(1, F)
        assert torch.equal(
            *(spikes_of(lambda x, g: torch.rand(T, 1, F, generator=g), s * zero) for s in (1, -1))
        )

    @pytest.mark.parametrize("name", ["rate", "population", "function"])
    def test_other_points_and_seeds_have_other_random_numbers(self, name):
        # Rates are nearly the same, but no two points are equal; 6 standard errors of a correlation.
        x = 0.25 + 1e-4 * torch.arange(40)[:, None] * torch.ones(F)
        encoder = BernoulliRateEncoder(n_steps=200) if name == "rate" else ENCODERS[name]
        trains = torch.cat([spikes_of(encoder, x, seed).transpose(0, 1).flatten(1) for seed in (0, 1)])
        varying = trains[:, trains.std(0) > 0]
        off = torch.corrcoef(varying - varying.mean(0))[np.triu_indices(80, 1)]
        assert float(off.abs().max()) < 6 / varying.shape[1] ** 0.5 + 2 / 80
        assert not torch.equal(trains[0], trains[40])

    def test_frequencies(self):
        # 300 points x 200 steps per bound, 5 standard errors of a proportion: a false alarm in 2e6 tests.
        rates = torch.tensor([0.0, 0.05, 0.5, 0.9, 1.0])
        x = torch.cat((rates.expand(300, 5), torch.linspace(0, 1, 300)[:, None]), dim=1)
        found = spikes_of(BernoulliRateEncoder(n_steps=200), x)[..., :5].mean((0, 1))
        error = 5 * (rates * (1 - rates) / (300 * 200)).sqrt()
        assert bool(((found - rates).abs() <= error).all())


def spread(hidden, encoder, **options):
    """A network of escape neurons, a spread-out guide and, where it is normalised, a reference batch."""
    spikes = spikes_of(encoder, X)
    if "image_shape" in options:
        options = options | {"image_shape": (spikes.shape[-1] // F, 4, 4)}
    net = SpikingGLM(
        spikes.shape[-1], hidden, CategoricalRate(3), neuron=EscapeNeuron(), gain=2.0, burn_in=1, **options
    )
    guide = AutoRelaxedSign(net)
    guide.initialize(spikes, torch.arange(N) % 3)
    with torch.no_grad():
        for p in guide.parameters():
            p.add_(0.7 * torch.randn(p.shape, generator=torch.Generator().manual_seed(3)))
    net.set_reference(spikes[:, :5] if net.normalise else None)
    return net, guide.eval()


def votes(net, guide, blocks, **options):
    return predict(net, posterior_draws(guide, 1), blocks, n_draws=S, **options).draws


class TestHiddenSpikes:
    @pytest.mark.parametrize(
        ("name", "code"), [(n, "rate") for n in NETWORKS] + [("dense", e) for e in ENCODERS if e != "rate"]
    )
    def test_draws_of_a_point_are_its_own(self, name, code):
        (hidden, options), encoder = NETWORKS[name], ENCODERS[code]
        net, guide = spread(hidden, encoder, **options)
        whole = votes(net, guide, encode_all(encoder, X, 0))
        order = torch.randperm(N, generator=torch.Generator().manual_seed(2))
        need = bytes_per_example(net, T)
        for index in (order, torch.arange(3, 6), torch.tensor([7])):
            for memory in (need, 3 * need, 2**24):
                found = votes(net, guide, encode_all(encoder, X[index], 0), memory=memory)
                np.testing.assert_allclose(found, whole[:, index.numpy()], atol=1e-5)
        on_demand = EncodedBlocks(encoder, OnDemand(X.numpy()), 0, memory=1)
        np.testing.assert_allclose(votes(net, guide, on_demand), whole, atol=1e-5)

    def test_chunks_of_time(self):
        net, guide = spread([7, 5], ENCODERS["rate"])
        blocks, need = encode_all(ENCODERS["rate"], X, 0), bytes_per_example(net, T)
        whole = votes(net, guide, blocks)
        for share in (2, 3, T):
            np.testing.assert_allclose(votes(net, guide, blocks, memory=need // share), whole, atol=1e-5)

    def test_members_and_seeds_differ_and_the_caller_is_left_alone(self):
        net, guide = spread([7, 5], ENCODERS["rate"])
        blocks, before = encode_all(ENCODERS["rate"], X, 0), torch.get_rng_state()
        mode = guide.mode()
        same = predict(
            net, lambda _, n: {k: w.expand(n, *w.shape) for k, w in mode.items()}, blocks, n_draws=9
        )
        assert len(np.unique(same.draws[:, 0, 0])) > 3  # one network, other spikes in each draw
        assert not np.array_equal(votes(net, guide, blocks, seed=0), votes(net, guide, blocks, seed=1))
        assert torch.equal(before, torch.get_rng_state())

    def test_early_votes(self):
        net, guide = spread([7, 5], ENCODERS["population"], normalise=True)
        steps, found = (3, 5, T), []
        for x in (X, X[3:6]):
            early = EarlyVotes(net, steps, S, len(x))
            votes(net, guide, encode_all(ENCODERS["population"], x, 0), watch=early)
            found.append(early.draws)
        np.testing.assert_allclose(found[1], found[0][:, :, 3:6], atol=1e-5)

    def test_noise_is_that_of_the_global_generator_in_distribution(self):
        # Means of 400 draws of one network with either source of noise; 5 standard errors, 36 comparisons.
        net, guide = spread([7], ENCODERS["direct"])
        net.eval()
        weights = {k: w.expand(400, *w.shape) for k, w in guide.mode().items()}
        (block,) = encode_all(ENCODERS["direct"], X, 0)
        keyed = predict(
            net, lambda first, n: {k: w[:n] for k, w in weights.items()}, [block], n_draws=400
        ).draws
        torch.manual_seed(0)
        window = Window(burn_in=net.burn_in)
        with torch.no_grad():
            readout = net.counted(net.simulate(weights, block).readouts[-1], window).double()
            free = net.likelihood.predict(readout, window).numpy()
        error = np.sqrt((keyed.var(0) + free.var(0)) / 400)
        assert (np.abs(keyed.mean(0) - free.mean(0)) < 5 * error + 1e-6).all()


@pytest.mark.parametrize("name", ["rate", "population"])
def test_validation_does_not_depend_on_order(name):
    y = torch.arange(N) % 3
    order = torch.randperm(N, generator=torch.Generator().manual_seed(4))
    found = []
    for index in (torch.arange(N), order):
        net = SpikingGLM(
            ENCODERS[name].n_inputs(F),
            [6],
            CategoricalRate(3),
            neuron=EscapeNeuron(),
            normalise=True,
            gain=2.0,
        )
        rule = GradientSteps(lambda model, guide: [BayesianLearningRule(guide.parameters(), 0.02)])
        torch.manual_seed(0)
        learner = Learner(
            net,
            AutoRelaxedSign(net),
            ENCODERS[name],
            rule,
            TrainSettings(epochs=2, batch_size=6, validation_draws=3),
        )
        rows = learner.fit(X, y, X[index], y[index]).history.rows
        found.append([(row["val_nll"], row["val_accuracy"]) for row in rows])
    np.testing.assert_allclose(*found, atol=1e-6)
