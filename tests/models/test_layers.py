"""Synapses, read-outs and the normalisation that stays right when weights are drawn anew."""

import math

import pyro
import pytest
import torch
from torch.nn.functional import softmax

from bisnn_pyro.errors import ModelError
from bisnn_pyro.models import (
    BinaryPrior,
    CategoricalRate,
    DenseSynapses,
    EscapeNeuron,
    Normalisation,
    SpikingGLM,
    Window,
)
from bisnn_pyro.models.layers import matmul_over_time, random_readout
from tests.models import reference

F64 = torch.float64


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("draws", [(), (1,), (3,), (2, 3)])
def test_matmul_over_time(draws, shared):
    x = torch.randn(*(() if shared else draws), 7, 2, 5, dtype=F64)
    w = torch.randn(*draws, 4, 5, dtype=F64)
    out = matmul_over_time(x, w)
    assert out.shape == (*draws, 7, 2, 4)
    spec = "tbi,...oi->...tbo" if shared else "...tbi,...oi->...tbo"
    torch.testing.assert_close(out, torch.einsum(spec, x, w))


def test_current_is_scaled_by_fan_in_and_gain_with_a_bias():
    layer = DenseSynapses(9, 4, BinaryPrior(), gain=1.5, bias=True).double()
    layer.bias = torch.arange(4.0, dtype=F64)
    trace, w = torch.rand(6, 2, 9, dtype=F64), torch.randn(3, 4, 9, dtype=F64)
    expected = 1.5 * torch.einsum("tbi,soi->stbo", trace, w) / 3 + torch.arange(4.0)
    torch.testing.assert_close(layer.current(trace, w), expected)


def test_random_readout():
    matrix = random_readout(3, 16, seed=5)
    assert matrix.shape == (3, 16)
    assert set(matrix.abs().flatten().tolist()) == {0.25}
    assert torch.equal(matrix, random_readout(3, 16, seed=5))
    assert not torch.equal(matrix, random_readout(3, 16, seed=6))
    state = torch.get_rng_state()
    random_readout(3, 16, seed=7)
    assert torch.equal(state, torch.get_rng_state())


def normaliser(n_units):
    norm = Normalisation(n_units).double()
    norm.gain = torch.linspace(0.5, 2, n_units, dtype=F64)
    norm.offset = torch.linspace(-1, 1, n_units, dtype=F64)
    return norm


def test_training_statistics_are_per_neuron_and_draw():
    torch.manual_seed(0)
    norm = normaliser(4)
    current = torch.randn(3, 20, 5, 4, dtype=F64) * torch.rand(3, 1, 1, 4) * 9 + torch.randn(3, 1, 1, 4) * 5
    out = norm(current, 0)
    mean, variance = out.mean((-3, -2)), out.var((-3, -2), correction=0)
    torch.testing.assert_close(mean, norm.offset.expand(3, 4))
    # eps = 1e-5 on the variance: v / (v + eps) of gain^2.
    v = current.var((-3, -2), correction=0)
    torch.testing.assert_close(variance, norm.gain.square() * v / (v + 1e-5))
    alone = torch.stack([norm(x, 0) for x in current])
    torch.testing.assert_close(out, alone)


def test_gradient_flows_through_the_statistics_and_to_gain_and_offset():
    torch.manual_seed(0)
    norm = normaliser(2)
    current = torch.randn(2, 5, 3, 2, dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: norm(x, 0), current)
    norm(current, 0).square().sum().backward()
    assert all(p.grad is not None for p in norm.parameters())


def test_constant_current_does_not_blow_up():
    out = Normalisation(2)(torch.full((10, 3, 2), 4.0), 0)
    assert torch.equal(out, torch.zeros_like(out))


N_STEPS, N_INPUTS = 15, 6


def network(neuron=None):
    torch.manual_seed(0)
    model = SpikingGLM(N_INPUTS, (7, 5), CategoricalRate(2), normalise=True, neuron=neuron).double()
    for layer in model.layers:
        layer.normalisation.gain = 0.5 + torch.rand(layer.fan_out, dtype=F64)
        layer.normalisation.offset = 0.3 * torch.randn(layer.fan_out, dtype=F64)
    return model


def inputs(batch, seed):
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(N_STEPS, batch, N_INPUTS, generator=generator) < 0.4).to(F64)


def weights(draws):
    generator = torch.Generator().manual_seed(9)
    return {
        f"layers.{k}.weight": torch.randn(draws, o, i, generator=generator, dtype=F64).sign()
        for k, (i, o) in enumerate(((N_INPUTS, 7), (7, 5)))
    }


def by_hand(model, w, x, ref):
    """Run one draw layer by layer, its statistics taken on the reference batch ``ref`` alone."""
    for k, layer in enumerate(model.layers):
        norm = layer.normalisation
        currents = []
        for part in (ref, x):
            trace = reference.filter_loop(part, 10, 6)
            currents.append(trace @ w[f"layers.{k}.weight"].T / math.sqrt(layer.fan_in))
        mean = currents[0].mean((0, 1))
        deviation = (currents[0].var((0, 1), correction=0) + 1e-5).sqrt()
        currents = [(c - mean) / deviation * norm.gain + norm.offset for c in currents]
        ref, x = (reference.neuron_loop(c, 2, 1.0, reference.boxcar)[0] for c in currents)
    return x @ model.random_readout_1.T


def test_prediction_uses_each_draws_own_statistics_on_the_reference():
    model, w, x, ref = network().eval(), weights(3), inputs(4, 1), inputs(8, 2)
    model.set_reference(ref)
    run = model.simulate(w, x)
    assert run.readouts[-1].shape == (3, N_STEPS, 4, 2)
    assert run.spikes[0].shape == (3, N_STEPS, 4, 7)
    assert run.potentials[0].shape == (3, N_STEPS, 4, 7)
    for d in range(3):
        expected = by_hand(model, {k: v[d] for k, v in w.items()}, x, ref)
        torch.testing.assert_close(run.readouts[-1][d], expected)
        p = model.likelihood.predict(model.counted(run.readouts[-1][d], Window()))
        torch.testing.assert_close(p, softmax(expected.mean(0), -1))


def test_prediction_does_not_depend_on_the_neighbours():
    model, w, x = network().eval(), weights(2), inputs(6, 1)
    model.set_reference(inputs(8, 2))
    together = model.simulate(w, x).readouts[-1]
    for b in range(6):
        alone = model.simulate(w, x[:, b : b + 1]).readouts[-1]
        torch.testing.assert_close(alone, together[..., b : b + 1, :])
    flipped = model.simulate(w, x.flip(1)).readouts[-1]
    torch.testing.assert_close(flipped.flip(-2), together)


def test_training_uses_the_mini_batch_and_needs_no_reference():
    model, w, x = network().train(), {k: v[0] for k, v in weights(1).items()}, inputs(6, 1)
    run = model.simulate(w, x)
    torch.testing.assert_close(run.readouts[-1], by_hand(model, w, x, x))


def test_a_reference_equal_to_the_batch_gives_the_training_output():
    model, w, x = network(), weights(2), inputs(6, 1)
    trained = model.train().simulate(w, x).readouts[-1]
    model.eval().set_reference(x)
    torch.testing.assert_close(model.simulate(w, x).readouts[-1], trained)


def test_missing_or_unfit_reference_is_an_error():
    model, w = network().eval(), weights(1)
    with pytest.raises(ModelError, match="set_reference"):
        model.simulate(w, inputs(2, 1))
    model.set_reference(inputs(4, 2)[:-1])
    with pytest.raises(ModelError, match="14 steps, the input 15"):
        model.simulate(w, inputs(2, 1))


def test_simulation_never_exchanges_parameters_with_pyros_global_store():
    first, second, w, x = network(), network(), weights(1), inputs(3, 1)
    with torch.no_grad():
        for parameter in second.parameters():
            parameter.add_(1.0)
    kept = [{name: p.clone() for name, p in model.named_parameters()} for model in (first, second)]
    outputs = [model.simulate(w, x).readouts[-1] for model in (first, second)]
    for model, before in zip((first, second), kept, strict=True):
        assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
    assert not torch.equal(*outputs)
    assert not list(pyro.get_param_store().keys())


def test_normalised_network_runs_with_escape_noise():
    model = network(EscapeNeuron()).eval()
    model.set_reference(inputs(8, 2))
    assert model.simulate(weights(2), inputs(3, 1)).readouts[-1].shape == (2, N_STEPS, 3, 2)


def test_normalisation_replaces_the_bias():
    layer = DenseSynapses(3, 2, BinaryPrior(), bias=True, normalise=True)
    assert layer.bias is None
