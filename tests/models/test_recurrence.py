"""Lateral synapses against a step-by-step loop that autograd differentiates."""

import math

import pytest
import torch
from hypothesis import given, settings, strategies as st

from bisnn_pyro.errors import ModelError
from bisnn_pyro.models import (
    Arctan,
    Boxcar,
    CategoricalSteps,
    Dense,
    EscapeNeuron,
    SimulationPlan,
    SingleStepNeuron,
    SpikingGLM,
    ThresholdNeuron,
    TimeConstants,
    Triangle,
)
from bisnn_pyro.models.dynamics import recurrent_scan
from tests.models import reference

F64 = torch.float64
TAUS = 4.0, 2.5, 1.5
CONSTANTS = TimeConstants(*TAUS)
T, B, N_UNITS = 14, 3, 5


def tensors(draws=(2,), seed=0, dtype=F64):
    """Currents, lateral weights, noise, and weights of a functional of the spikes."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*draws, *shape, generator=generator, dtype=F64).to(dtype)

    return (
        0.7 * normal(T, B, N_UNITS) + 0.2,
        normal(N_UNITS, N_UNITS),
        0.5 * normal(T, B, N_UNITS),
        normal(T, B, N_UNITS),
    )


def loop(current, weight, noise, surrogate, reset=1.0, *, through_time):
    """Return spikes, potentials and traces ``[T, B, O]`` of one draw; autograd gives the gradients."""
    a, b, c = CONSTANTS.decays
    p = q = r = s = torch.zeros_like(current[0])
    found = []
    for t in range(len(current)):
        p, r = a * p + q, c * r + s.detach()
        trace = p * (1 - a) * (1 - b)
        trace = trace if through_time else trace.detach()
        u = current[t] + trace @ weight.T - reset * r
        fired = (u if noise is None else u + noise[t]) >= 0
        s = fired.to(u.dtype) + surrogate(u.detach()) * (u - u.detach())
        q = b * q + s
        found.append((s, u, trace))
    return [torch.stack(x) for x in zip(*found, strict=True)]


SURROGATES = [(Boxcar(), reference.boxcar), (Triangle(0.8), lambda u: reference.triangle(u, 0.8))]


@pytest.mark.parametrize("through_time", [False, True])
@pytest.mark.parametrize("surrogate", SURROGATES, ids=["boxcar", "triangle"])
@pytest.mark.parametrize("noisy", [False, True])
@given(seed=st.integers(0, 10_000), reset=st.sampled_from([0.0, 1.0, 2.5]))
@settings(deadline=None, max_examples=15)
def test_spikes_and_gradients_are_those_of_the_loop(through_time, surrogate, noisy, seed, reset):
    ours, theirs = surrogate
    current, weight, noise, functional = tensors(seed=seed)
    noise = noise if noisy else None
    leaves = current.requires_grad_(), weight.requires_grad_()
    s, u, *_ = recurrent_scan(
        current, weight, CONSTANTS, ours, reset=reset, noise=noise, through_time=through_time
    )
    gradients = torch.autograd.grad((s * functional).sum(), leaves)
    expected = [torch.zeros_like(leaf) for leaf in leaves]
    for d in range(2):
        parts = current[d], weight[d], None if noise is None else noise[d]
        spikes, potentials, _ = loop(*parts, theirs, reset, through_time=through_time)
        assert torch.equal(s[d], spikes)
        torch.testing.assert_close(u[d], potentials)
        found = torch.autograd.grad((spikes * functional[d]).sum(), parts[:2])
        for whole, part in zip(expected, found, strict=True):
            whole[d] = part
    for one, other in zip(gradients, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


def test_the_two_gradients_differ():
    current, weight, _, functional = tensors()
    weight.requires_grad_()
    found = []
    for through_time in (False, True):
        s, *_ = recurrent_scan(current, weight, CONSTANTS, Arctan(), through_time=through_time)
        found.append(torch.autograd.grad((s * functional).sum(), weight)[0])
    assert not torch.allclose(*found, rtol=0.05)


def test_local_gradient_is_one_product_over_all_steps():
    current, weight, _, functional = tensors(())
    weight.requires_grad_()
    surrogate = Arctan(0.7)
    s, u, *_ = recurrent_scan(current, weight, CONSTANTS, surrogate)
    (gradient,) = torch.autograd.grad((s * functional).sum(), weight)
    trace = reference.filter_loop(s.detach(), CONSTANTS.membrane, CONSTANTS.synapse)
    expected = torch.einsum("tbo,tbi->oi", functional * surrogate.derivative(u), trace)
    torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_spikes_are_those_of_the_potentials_returned(dtype):
    current, weight, noise, _ = tensors((2, 3), dtype=dtype)
    s, u, *_ = recurrent_scan(current, weight, CONSTANTS, Boxcar())
    assert torch.equal(s, (u >= 0).to(dtype))
    s, u, *_ = recurrent_scan(current, weight, CONSTANTS, Boxcar(), noise=noise)
    assert torch.equal(s, (u + noise >= 0).to(dtype))


@given(cut=st.integers(1, T - 1), seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=20)
def test_windows_with_carried_state_are_the_whole(cut, seed):
    current, weight, *_ = tensors((2,), seed, torch.float32)
    whole = recurrent_scan(current, weight, CONSTANTS, Boxcar())
    first = recurrent_scan(current[:, :cut], weight, CONSTANTS, Boxcar())
    second = recurrent_scan(current[:, cut:], weight, CONSTANTS, Boxcar(), state=first[2], heard=first[3])
    for k in range(2):
        assert torch.equal(torch.cat((first[k], second[k]), dim=1), whole[k])
    for one, other in zip((*second[2], *second[3]), (*whole[2], *whole[3]), strict=True):
        assert torch.equal(one, other)


def test_no_gradient_crosses_a_carried_state():
    current, weight, *_ = tensors(())
    current.requires_grad_()
    *_, state, heard = recurrent_scan(current, weight, CONSTANTS, Boxcar(), through_time=True)
    assert not any(x.requires_grad for x in (*state, *heard))


# -- in a network -----------------------------------------------------------------------------------


BOTH = (Dense(6, recurrent=True), Dense(5, recurrent=True))


def network(hidden=BOTH, **options):
    options = {"gain": 2.0, "readout_gain": 2.0, **options}
    neuron = ThresholdNeuron(*TAUS, reset=0.7, surrogate=Triangle(1.0))
    return SpikingGLM(4, hidden, CategoricalSteps(3), neuron=neuron, **options).double()


def draw(model, draws=(), seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(*draws, *shape, generator=generator, dtype=F64, requires_grad=True)
        for name, shape in model.weight_shapes.items()
    }


def inputs(seed=5):
    return (torch.rand(T, B, 4, generator=torch.Generator().manual_seed(seed)) < 0.4).to(F64)


@pytest.mark.parametrize("readout", ["random", "trained"])
@pytest.mark.parametrize("credit", ["local", "end-to-end"])
@pytest.mark.parametrize("draws", [(), (3,)])
def test_network_is_the_step_by_step_network(credit, readout, draws):
    model = network(credit=credit, readout=readout, bias=True)
    weights, spikes = draw(model, draws), inputs()
    run = model.simulate(weights, spikes, plan=SimulationPlan(carry=False))
    torch.manual_seed(0)
    functionals = [torch.randn_like(r) for r in run.readouts]
    ours = torch.autograd.grad(
        sum((f * r).sum() for f, r in zip(functionals, run.readouts, strict=True)), list(weights.values())
    )
    n_random = len(run.readouts) - (readout == "trained")
    readouts = [None] * (2 - n_random) + [model.random_readout(k) for k in range(n_random)]
    total = 0.0
    for d in range(math.prod(draws)):
        one = {name: w[d] if draws else w for name, w in weights.items()}
        found = reference.network_loop(
            [one[f"layers.{k}.weight"] for k in range(2)],
            spikes,
            readouts,
            laterals=[one[f"layers.{k}.recurrent"] for k in range(2)],
            constants=(4.0, 2.5, 1.5),
            reset=0.7,
            surrogate=lambda u: reference.triangle(u, 1.0),
            gain=2.0,
            biases=[layer.bias.detach() for layer in model.layers],
            local=credit == "local",
            trained=(one["readout.weight"], 2.0) if readout == "trained" else None,
        )
        for k in range(2):
            pick = run.spikes[k][d] if draws else run.spikes[k]
            assert torch.equal(pick, found.spikes[k])
            assert 0.02 < float(pick.detach().mean()) < 0.98
        total = total + sum(
            ((f[d] if draws else f) * r).sum() for f, r in zip(functionals, found.readouts, strict=True)
        )
    theirs = torch.autograd.grad(total, list(weights.values()))
    for name, one, other in zip(weights, ours, theirs, strict=True):
        assert bool((other != 0).any()), name
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


def test_sites_and_fan_in():
    model = network((Dense(6, recurrent=True), 5), readout="trained", credit="end-to-end")
    assert model.weight_shapes == {
        "layers.0.weight": (6, 4),
        "layers.0.recurrent": (6, 6),
        "layers.1.weight": (5, 6),
        "readout.weight": (3, 5),
    }
    assert list(model.draw_weights()) == list(model.weight_sites)


def test_silent_lateral_synapses_are_none():
    recurrent, plain = network(), network((6, 5))
    weights = draw(recurrent)
    silent = {k: torch.zeros_like(w) if k.endswith("recurrent") else w for k, w in weights.items()}
    one, other = recurrent.simulate(silent, inputs()), plain.simulate(weights, inputs())
    for a, b in zip(one.spikes + one.potentials, other.spikes + other.potentials, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
    heard = recurrent.simulate(weights, inputs())
    assert not torch.equal(heard.spikes[0], one.spikes[0])


def test_escape_noise_is_the_plain_neurons():
    neuron, (current, weight, *_) = EscapeNeuron(*TAUS, delta=0.4), tensors()
    torch.manual_seed(3)
    plain, *_ = neuron.fire(current, None)
    torch.manual_seed(3)
    silent, *_ = neuron.fire_recurrent(current, 0 * weight, None, None, through_time=False)
    assert torch.equal(plain, silent)


def test_a_neuron_without_a_recurrent_form_is_refused():
    with pytest.raises(ModelError, match="SingleStepNeuron cannot have lateral synapses"):
        SpikingGLM(4, [3, Dense(5, recurrent=True)], CategoricalSteps(3), neuron=SingleStepNeuron())
    with pytest.raises(NotImplementedError, match="SingleStepNeuron"):
        SingleStepNeuron().fire_recurrent(*tensors()[:2], None, None, through_time=False)
