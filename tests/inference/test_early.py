"""Early decisions: one simulation, and at each step what a run that ends there says."""

import math

import numpy as np
import pytest
import torch

from bisnn_pyro.errors import ModelError
from bisnn_pyro.inference import AutoRelaxedSign, EarlyVotes, posterior_draws, predict
from bisnn_pyro.models import Conv, Dense, ThresholdNeuron, Window
from tests.inference.tiny import LIKELIHOODS, make_network, make_spikes, make_targets

N, S, T, BURN_IN = 9, 5, 10, 2
STEPS = (3, 4, 7, 10)


def setting(likelihood="categorical-steps", hidden=(6, 5), **options):
    n_inputs = math.prod(options.get("image_shape", (4,)))
    net = make_network(likelihood, hidden, n_inputs, burn_in=BURN_IN, gain=2.0, **options)
    spikes, y = make_spikes(n_steps=T, n=N, n_inputs=n_inputs), make_targets(likelihood, N)
    guide = AutoRelaxedSign(net)
    guide.initialize(spikes, y)
    with torch.no_grad():
        for p in guide.parameters():
            p.add_(0.7 * torch.randn_like(p))
    if net.normalise:
        net.set_reference(make_spikes(n_steps=T, n=4, n_inputs=n_inputs, seed=5))
    return net, guide, spikes


def collect(net, guide, blocks, steps=STEPS, *, members=True, **options):
    early = EarlyVotes(net, steps, S, sum(b.shape[1] for b in blocks), members=members)
    prediction = predict(net, posterior_draws(guide, 3), blocks, n_draws=S, watch=early, **options)
    return early, prediction


@pytest.fixture(params=sorted(LIKELIHOODS))
def any_likelihood(request):
    return request.param


@pytest.fixture(params=["packed", "dense"])
def path(request):
    return request.param


def test_at_the_last_step_it_is_the_prediction(any_likelihood, path):
    net, guide, spikes = setting(any_likelihood)
    early, prediction = collect(net, guide, [spikes], path=path)
    assert early.draws.shape == (len(STEPS), *prediction.draws.shape)
    np.testing.assert_array_equal(early.draws[-1], prediction.draws)
    np.testing.assert_array_equal(early.mean[-1], prediction.mean)
    assert np.abs(early.draws[0] - prediction.draws).max() > 0.01


def test_each_step_is_a_run_that_ends_there(any_likelihood):
    """Run the network anew on the first t steps alone, member by member."""
    net, guide, spikes = setting(any_likelihood)
    early, _ = collect(net, guide, [spikes], path="dense")
    net.eval()
    for s in range(S):
        weights = {k: w[0] for k, w in guide.sample_posterior(1, seed=3, first=s).items()}
        for k, step in enumerate(STEPS):
            with torch.no_grad():
                run = net.simulate(weights, spikes[:step])
                readout = run.readouts[-1][BURN_IN:].transpose(0, 1).double()
                alone = net.likelihood.predict(readout, Window(burn_in=BURN_IN))
            np.testing.assert_allclose(early.draws[k, s], alone.numpy(), atol=1e-6)


def test_softmax_of_the_mean_readout_so_far(path):
    net, guide, spikes = setting()
    early, _ = collect(net, guide, [spikes], path=path)
    weights = guide.sample_posterior(S, seed=3)
    net.eval()
    with torch.no_grad():
        readout = net.simulate(weights, spikes).readouts[-1].double().numpy()  # [S, T, N, C]
    for k, step in enumerate(STEPS):
        mean = sum(readout[:, t] for t in range(BURN_IN, step)) / (step - BURN_IN)
        expected = np.exp(mean) / np.exp(mean).sum(-1, keepdims=True)
        np.testing.assert_allclose(early.draws[k], expected, atol=1e-5)


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("credit", ["local", "end-to-end"])
def test_later_inputs_do_not_matter(path, normalise, credit):
    check_later_inputs(path=path, normalise=normalise, credit=credit)


@pytest.mark.parametrize("normalise", [False, True])
def test_later_inputs_do_not_matter_to_convolutions_and_recurrence_either(normalise):
    hidden = [Conv(4, kernel=3, padding=1, pool=2), Dense(8, recurrent=True)]
    check_later_inputs(path="dense", normalise=normalise, hidden=hidden, image_shape=(1, 4, 4))


def check_later_inputs(path, **options):
    """Votes up to a step keep their bits under other inputs from it on; those at the end change.

    With time constants as short as these a change of the last three inputs still reaches the votes: those
    of a sixth of the members and examples or more, over random seeds 0 to 7.
    """
    net, guide, spikes = setting(neuron=ThresholdNeuron(2.0, 1.0, 2.0), **options)
    first, _ = collect(net, guide, [spikes], path=path)
    for k, step in enumerate(STEPS):
        changed = spikes.clone()
        changed[step:] = 1 - changed[step:]
        second, _ = collect(net, guide, [changed], path=path)
        np.testing.assert_array_equal(second.draws[: k + 1], first.draws[: k + 1])
        if step < T:
            moved = np.abs(second.draws[-1] - first.draws[-1]).max(axis=-1)  # [S, N]
            assert (moved > 0.01).mean() > 0.1


def test_the_mean_alone_has_the_same_bits(any_likelihood, path):
    net, guide, spikes = setting(any_likelihood)
    whole, prediction = collect(net, guide, [spikes], path=path)
    alone, _ = collect(net, guide, [spikes[:, :4], spikes[:, 4:]], path=path, members=False)
    np.testing.assert_array_equal(alone.mean, whole.mean)
    np.testing.assert_array_equal(alone.mean[-1], prediction.mean)
    with pytest.raises(ModelError, match="members"):
        _ = alone.draws


@pytest.mark.parametrize("memory", [1, 5_000])
def test_however_chunked(any_likelihood, memory):
    net, guide, spikes = setting(any_likelihood)
    whole, _ = collect(net, guide, [spikes], path="dense")
    parts, _ = collect(net, guide, [spikes[:, :4], spikes[:, 4:]], path="dense", memory=memory)
    np.testing.assert_array_equal(parts.draws, whole.draws)


def test_one_simulation(monkeypatch):
    net, guide, spikes = setting()
    calls, simulate = [], net.simulate

    def spy(weights, x, *args, **options):
        calls.append(x.shape)
        return simulate(weights, x, *args, **options)

    monkeypatch.setattr(net, "simulate", spy)
    collect(net, guide, [spikes], path="dense")
    assert calls == [spikes.shape]


@pytest.mark.parametrize("steps", [(), (2, 5), (0, 5), (5, 5), (7, 4)])
def test_wrong_steps(steps):
    net, _, _ = setting()
    with pytest.raises(ModelError, match="ascending, and beyond the burn-in of 2"):
        EarlyVotes(net, steps, S, N)


def test_steps_beyond_the_end():
    net, guide, spikes = setting()
    with pytest.raises(ModelError, match="step 11: the input has 10 steps"):
        collect(net, guide, [spikes], steps=(5, 11))


def test_nothing_predicted_yet():
    net, _, _ = setting()
    with pytest.raises(ModelError, match="nothing was predicted"):
        _ = EarlyVotes(net, STEPS, S, N, members=False).mean
