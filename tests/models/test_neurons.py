"""The neurons' laws: deterministic threshold, escape noise, and the limit between the two."""

import math

import pytest
import torch
from scipy import stats

from bisnn_pyro.errors import ModelError
from bisnn_pyro.models import (
    CategoricalRate,
    EscapeNeuron,
    FilterState,
    ResetState,
    SpikingGLM,
    ThresholdNeuron,
    Triangle,
)
from bisnn_pyro.models.neurons import NeuronState
from tests.models import reference

F64 = torch.float64


def test_threshold_neuron_is_filter_and_loop():
    torch.manual_seed(0)
    neuron = ThresholdNeuron(4, 3, 1.5, reset=0.4, surrogate=Triangle(0.7))
    x = torch.rand(2, 15, 3, 4, dtype=F64)
    trace, _ = neuron.trace(x, None)
    torch.testing.assert_close(trace, reference.filter_loop(x, 4, 3))
    s, u, _ = neuron.fire(x - 0.3, None)
    spikes, potentials = reference.neuron_loop(x - 0.3, 1.5, 0.4, reference.triangle)
    assert torch.equal(s, spikes)
    torch.testing.assert_close(u, potentials)


@pytest.mark.parametrize("delta", [0.1, 0.5])
@pytest.mark.parametrize("u", [-0.6, 0.0, 0.3])
def test_escape_rate_is_the_logistic_function(delta, u):
    # Reset off: 40000 independent draws.  Exact binomial test, seed 0, p < 1e-6 fails: false alarm 6e-6.
    torch.manual_seed(0)
    neuron = EscapeNeuron(delta=delta, reset=0.0)
    s, potential, _ = neuron.fire(torch.full((100, 20, 20), u), None)
    torch.testing.assert_close(potential, torch.full_like(potential, u), atol=2e-6, rtol=0)
    count = int(s.sum())
    assert stats.binomtest(count, s.numel(), 1 / (1 + math.exp(-u / delta))).pvalue > 1e-6


def test_escape_rate_given_the_past():
    # The second spike after a first one and after none: current 0.5, delta 0.5, reset 1.
    # Two exact binomial tests, seed 0: false alarm 2e-6.
    torch.manual_seed(0)
    s, _, _ = EscapeNeuron(delta=0.5, reset=1.0).fire(torch.full((2, 100, 100), 0.5), None)
    for first, u in ((1.0, -0.5), (0.0, 0.5)):
        second = s[1][s[0] == first]
        expected = 1 / (1 + math.exp(-u / 0.5))
        assert stats.binomtest(int(second.sum()), second.numel(), expected).pvalue > 1e-6


@pytest.mark.parametrize("delta", [0.2, 1.0])
def test_escape_gradient_is_that_of_the_rate(delta):
    torch.manual_seed(0)
    current = torch.randn(12, 3, 4, dtype=F64, requires_grad=True)
    s, u, _ = EscapeNeuron(delta=delta).fire(current, None)
    direction = torch.randn_like(s)
    (ours,) = torch.autograd.grad((s * direction).sum(), current)
    leaf = u.detach().requires_grad_()
    (theirs,) = torch.autograd.grad((torch.sigmoid(leaf / delta) * direction).sum(), leaf)
    torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-10)


def test_escape_potential_is_free_of_noise():
    torch.manual_seed(0)
    current = torch.randn(12, 3, 4, dtype=F64)
    s, u, _ = EscapeNeuron(tau_refractory=3.0, delta=2.0, reset=0.7).fire(current, None)
    torch.testing.assert_close(u, current - 0.7 * reference.refractory_loop(s, 3.0), rtol=1e-10, atol=1e-10)


def test_escape_spikes_are_fresh_for_each_weight_draw():
    torch.manual_seed(0)
    model = SpikingGLM(5, (6, 6), CategoricalRate(2), neuron=EscapeNeuron(delta=0.5))
    weights = {"layers.0.weight": torch.ones(6, 5), "layers.1.weight": torch.ones(6, 6)}
    spikes = (torch.rand(30, 2, 5) < 0.4).float()
    run = model.simulate({k: w.expand(4, *w.shape) for k, w in weights.items()}, spikes)
    for s in run.spikes:
        for i in range(4):
            for j in range(i):
                assert not torch.equal(s[i], s[j])
    again = model.simulate(weights, spikes)
    assert not torch.equal(again.spikes[0], run.spikes[0][0])


def test_same_seed_same_spikes():
    current = torch.randn(10, 2, 3)
    runs = []
    for _ in range(2):
        torch.manual_seed(5)
        runs.append(EscapeNeuron().fire(current, None)[0])
    assert torch.equal(*runs)


@pytest.mark.parametrize("dtype", [torch.float32, F64], ids=str)
def test_without_noise_the_escape_neuron_is_the_threshold_neuron(dtype):
    torch.manual_seed(0)
    current = torch.randn(3, 40, 5, 6, dtype=dtype)
    s, _, end = EscapeNeuron(delta=1e-9).fire(current, None)
    expected, _, state = ThresholdNeuron().fire(current, None)
    assert torch.equal(s, expected)
    assert torch.equal(end.r, state.r)


def test_escape_neuron_goes_on_from_a_state():
    # A neuron that has just fired (R = 0, s = 1) sees its current less the reset at the next step.
    state = ResetState(torch.zeros(1, 1), torch.ones(1, 1))
    _, u, _ = EscapeNeuron(reset=0.5).fire(
        torch.ones(1, 1, 1, dtype=F64), ResetState(*(x.double() for x in state))
    )
    assert float(u) == pytest.approx(0.5)


def test_detach_cuts_the_whole_state():
    part = [torch.ones(1, 2, requires_grad=True) * 2 for _ in range(6)]
    state = NeuronState(FilterState(*part[:2]), ResetState(*part[2:4]), FilterState(*part[4:])).detach()
    assert not any(x.requires_grad for pair in state for x in pair)
    assert NeuronState(FilterState(*part[:2]), ResetState(*part[2:4])).detach().lateral is None


@pytest.mark.parametrize("neuron", [ThresholdNeuron, EscapeNeuron])
@pytest.mark.parametrize("reset", [-0.1, math.nan, math.inf])
def test_bad_reset_is_refused(neuron, reset):
    with pytest.raises(ModelError, match="reset"):
        neuron(reset=reset)


@pytest.mark.parametrize("delta", [0.0, -1.0, math.nan, math.inf])
def test_bad_delta_is_refused(delta):
    with pytest.raises(ModelError, match="delta"):
        EscapeNeuron(delta=delta)
