"""Networks of convolutional, pooled, dense and recurrent layers against networks of explicit matrices."""

import math

import pyro
import pytest
import torch
from pyro import poutine

from bisnn_pyro.models import (
    CategoricalSteps,
    Conv,
    Dense,
    EscapeNeuron,
    SimulationPlan,
    SingleStep,
    SingleStepNeuron,
    SpikingGLM,
    ThresholdNeuron,
    Triangle,
)
from tests.models import reference
from tests.models.unfolding import dense_matrix, pooled

F64 = torch.float64
IMAGE = (2, 6, 5)
T, B = 12, 3
TAUS = (4.0, 2.5, 1.5)
RESET, GAIN = 0.7, 2.5

ARCHITECTURES = {
    "conv": [Conv(4, 3, padding=1)],
    "conv-conv": [Conv(4, 3, stride=2, padding=1), Conv(3, 2)],
    "max": [Conv(4, 3, padding=1, pool=2), 7],
    "mean": [Conv(4, 3, padding=1, pool=2, pooling="mean"), Conv(3, 2), 5],
    "recurrent": [Dense(6, recurrent=True), 5],
    "all": [
        Conv(4, 3, padding=1, pool=2),
        Conv(3, 2, padding=1, pooling="mean", pool=2),
        Dense(6, recurrent=True),
        4,
    ],
}
EVERY = pytest.mark.parametrize("name", ARCHITECTURES)
CREDIT = pytest.mark.parametrize("credit", ["local", "end-to-end"])


def build(name, **options):
    neuron = ThresholdNeuron(*TAUS, reset=RESET, surrogate=Triangle(1.5))
    options = {"neuron": neuron, "gain": GAIN, "readout_gain": 2.0, "image_shape": IMAGE, **options}
    torch.manual_seed(0)
    model = SpikingGLM(math.prod(IMAGE), ARCHITECTURES[name], CategoricalSteps(3), **options).double()
    for layer in model.synapses:
        if layer.bias is not None:
            layer.bias = 0.2 * torch.randn(layer.fan_out, dtype=F64)
    return model


def draw(model, draws=(), seed=0, dtype=F64):
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(*draws, *shape, generator=generator, dtype=F64).to(dtype).requires_grad_()
        for name, shape in model.weight_shapes.items()
    }


def inputs(batch=B, seed=5, steps=T):
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(steps, batch, math.prod(IMAGE), generator=generator) < 0.4).to(F64)


def by_hand(model, name, weights, x, surrogate):
    """Run one draw layer by layer with explicit matrices; return spikes and the last layer's outputs."""
    local, image, fired, readouts = model.credit == "local", IMAGE, [], []
    first_scored = len(model.layers) - model._n_random
    for k, (layer, synapses) in enumerate(zip(ARCHITECTURES[name], model.synapses, strict=True)):
        w = weights[f"layers.{k}.weight"]
        matrix = w
        if isinstance(layer, Conv):
            matrix = dense_matrix(w, image, layer.kernel, layer.stride, layer.padding, channels_last=k > 0)
        trace = reference.filter_loop(x, *TAUS[:2])
        current = GAIN * trace @ matrix.T / math.sqrt(w.shape[1])
        if synapses.bias is not None:
            current = current + synapses.bias.detach().repeat(len(matrix) // len(w))
        if isinstance(layer, Dense) and layer.recurrent:
            s = recurrent_by_hand(current, weights[f"layers.{k}.recurrent"], surrogate, local)
        else:
            s, _ = reference.neuron_loop(current, TAUS[2], RESET, surrogate)
        fired.append(s)
        if isinstance(layer, Conv):
            image = synapses.maps
            if layer.pool > 1:
                s = pooled(s, image, layer.pool, layer.pooling)
                image = model.pools[k].pooled
        if k >= first_scored:
            readouts.append(s @ model.random_readout(k - first_scored).T)
        x = s.detach() if local else s
    if model.readout is not None:
        w = weights["readout.weight"]
        readouts.append(2.0 * reference.filter_loop(x, *TAUS[:2]) @ w.T / math.sqrt(w.shape[1]))
    return fired, readouts


def recurrent_by_hand(current, weight, surrogate, local):
    """Run units with lateral synapses; with local credit what they hear carries no gradient."""
    a, b, c = (math.exp(-1 / tau) for tau in TAUS)
    p = q = r = s = torch.zeros_like(current[0])
    out = []
    for t in range(len(current)):
        p, r = a * p + q, c * r + s.detach()
        heard = p * (1 - a) * (1 - b)
        heard = heard.detach() if local else heard
        u = current[t] + GAIN * heard @ weight.T / math.sqrt(len(weight)) - RESET * r
        s = reference.spike(u, surrogate)
        q = b * q + s
        out.append(s)
    return torch.stack(out)


def gradients(readouts, weights):
    torch.manual_seed(1)
    total = sum((r * torch.randn_like(r)).sum() for r in readouts)
    return torch.autograd.grad(total, list(weights.values()))


@EVERY
@CREDIT
@pytest.mark.parametrize("readout", ["random", "trained"])
@pytest.mark.parametrize("carry", [False, True])
def test_network_is_the_one_of_matrices(name, credit, readout, carry):
    model = build(name, credit=credit, readout=readout, bias=True)
    weights, x = draw(model), inputs()
    run = model.simulate(weights, x, plan=SimulationPlan(carry=carry))
    fired, readouts = by_hand(model, name, weights, x, lambda u: reference.triangle(u, 1.5))
    for ours, theirs in zip(run.spikes, fired, strict=True):
        assert torch.equal(ours, theirs)
        assert 0.01 < float(theirs.detach().mean()) < 0.99
    for ours, theirs in zip(run.readouts, readouts, strict=True):
        torch.testing.assert_close(ours, theirs)
    pairs = zip(weights, gradients(run.readouts, weights), gradients(readouts, weights), strict=True)
    for site, ours, theirs in pairs:
        assert bool((theirs != 0).any()), f"the test says nothing about {site}"
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-10)


@EVERY
@CREDIT
@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("draws", [(3,), (2, 2)])
def test_draws_side_by_side_are_draws_one_by_one(name, credit, normalise, draws):
    model = build(name, credit=credit, normalise=normalise, readout="trained")
    weights, x = draw(model, draws), inputs()
    together = model.simulate(weights, x)
    flat = {site: w.flatten(0, -3) for site, w in weights.items()}
    for d in range(math.prod(draws)):
        alone = model.simulate({site: w[d] for site, w in flat.items()}, x)
        for part in ("readouts", "spikes", "potentials"):
            for ours, theirs in zip(getattr(together, part), getattr(alone, part), strict=True):
                torch.testing.assert_close(ours.flatten(0, -4)[d], theirs, rtol=1e-10, atol=1e-10)


@EVERY
@CREDIT
@pytest.mark.parametrize("cut", [1, 5, 11])
def test_windows_with_carried_state_are_the_whole_sequence(name, credit, cut):
    model = build(name, credit=credit, readout="trained")
    weights, x = draw(model, (2,)), inputs()
    whole = model.simulate(weights, x)
    first = model.simulate(weights, x[:cut])
    second = model.simulate(weights, x[cut:], first.state.detach())
    for part in ("readouts", "spikes", "potentials"):
        for k, expected in enumerate(getattr(whole, part)):
            joined = torch.cat([getattr(run, part)[k] for run in (first, second)], dim=-3)
            torch.testing.assert_close(joined, expected, rtol=1e-11, atol=1e-11)
    for one, other in zip(second.state.layers, whole.state.layers, strict=True):
        assert (one.lateral is None) == (other.lateral is None)
        parts = [(*layer.reset, *(layer.lateral or ())) for layer in (one, other)]
        for a, b in zip(*parts, strict=True):
            torch.testing.assert_close(a, b)


@EVERY
def test_prediction_uses_each_draws_own_statistics_on_the_reference(name):
    model = build(name, normalise=True)
    weights, batch, others = draw(model, (2,)), inputs(4, 1), inputs(5, 2)
    trained = model.train().simulate(weights, others)
    model.eval().set_reference(others)
    run = model.simulate(weights, batch)
    for d in range(2):
        for b in range(4):
            alone = model.simulate({k: w[d] for k, w in weights.items()}, batch[:, b : b + 1])
            torch.testing.assert_close(alone.readouts[-1], run.readouts[-1][d][:, b : b + 1])
    same = model.simulate(weights, others)
    torch.testing.assert_close(same.readouts[-1], trained.readouts[-1])
    assert same.spikes[0].shape == trained.spikes[0].shape


@EVERY
@pytest.mark.parametrize("normalise", [False, True])
def test_a_constant_current_is_the_sequence(name, normalise):
    model = build(name, normalise=normalise)
    torch.manual_seed(3)
    weights, x = draw(model, (2,)), torch.rand(B, math.prod(IMAGE), dtype=F64).expand(T, -1, -1)
    one, other = model.simulate(weights, x), model.simulate(weights, x.contiguous())
    for a, b in zip(one.readouts, other.readouts, strict=True):
        torch.testing.assert_close(a, b)
    for a, b in zip(gradients(one.readouts, weights), gradients(other.readouts, weights), strict=True):
        torch.testing.assert_close(a, b)


@EVERY
@pytest.mark.parametrize("readout", ["random", "trained"])
def test_uncounted_steps_change_no_gradient(name, readout):
    for credit in ("local", "end-to-end"):
        model = build(name, credit=credit, readout=readout)
        weights, x = draw(model, (2,)), inputs()
        found = [
            gradients(
                [
                    r[..., 4:, :, :]
                    for r in model.simulate(weights, x, plan=SimulationPlan(uncounted=n)).readouts
                ],
                weights,
            )
            for n in (0, 4)
        ]
        for a, b in zip(*found, strict=True):
            torch.testing.assert_close(a, b)


@EVERY
def test_potentials_are_recorded_only_on_demand(name):
    model = build(name)
    weights, x = draw(model), inputs()
    one, other = model.simulate(weights, x), model.simulate(weights, x, plan=SimulationPlan(record=False))
    assert len(one.potentials) == len(ARCHITECTURES[name])
    assert other.potentials == ()
    assert all(torch.equal(a, b) for a, b in zip(one.spikes, other.spikes, strict=True))


@EVERY
@pytest.mark.parametrize("draws", [1, 3])
def test_as_a_pyro_model_under_a_particle_plate(name, draws):
    model, y = build(name, readout="trained").float(), torch.arange(B) % 3
    with pyro.plate("particles", draws, dim=-2):
        trace = poutine.trace(model).get_trace(inputs().float(), y)
    trace.compute_log_prob()
    for site, shape in model.weight_shapes.items():
        assert trace.nodes[site]["value"].shape == (draws, 1, *shape)
    for k in range(len(model.layers)):
        assert trace.nodes[f"local_{k}"]["log_prob"].shape == (draws, B)
    assert trace.nodes["y"]["log_prob"].shape == (draws, B)
    assert trace.nodes["_RETURN"]["value"].spikes[0].shape == (draws, T, B, model.synapses[0].n_units)


@EVERY
def test_with_escape_noise(name):
    model = build(name, neuron=EscapeNeuron(*TAUS), readout="trained")
    weights = draw(model, (2,))
    run = model.simulate(weights, inputs())
    assert run.readouts[-1].shape == (2, T, B, 3)
    assert not torch.equal(run.readouts[-1], model.simulate(weights, inputs()).readouts[-1])
    assert all(bool(g.isfinite().all()) for g in gradients(run.readouts, weights))


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name not in ("recurrent", "all")])
@CREDIT
def test_single_step_units_on_one_step(name, credit):
    surrogate = SingleStep()
    neuron = SingleStepNeuron(0.3, surrogate)
    model = build(name, neuron=neuron, credit=credit, readout="trained", normalise=False)
    weights, x = draw(model), inputs(steps=1)
    run, image, local, readouts = model.simulate(weights, x), IMAGE, credit == "local", []
    for k, layer in enumerate(ARCHITECTURES[name]):
        matrix = w = weights[f"layers.{k}.weight"]
        if isinstance(layer, Conv):
            matrix = dense_matrix(w, image, layer.kernel, layer.stride, layer.padding, channels_last=k > 0)
        s = reference.spike(GAIN * x @ matrix.T / math.sqrt(w.shape[1]) - 0.3, surrogate.derivative)
        assert torch.equal(run.spikes[k], s)
        if isinstance(layer, Conv):
            image = model.synapses[k].maps
            if layer.pool > 1:
                s, image = pooled(s, image, layer.pool, layer.pooling), model.pools[k].pooled
        if local:
            readouts.append(s @ model.random_readout(k).T)
        x = s.detach() if local else s
    w = weights["readout.weight"]
    readouts.append(2.0 * x @ w.T / math.sqrt(w.shape[1]))
    for ours, theirs in zip(run.readouts, readouts, strict=True):
        torch.testing.assert_close(ours, theirs)
    pairs = zip(gradients(run.readouts, weights), gradients(readouts, weights), strict=True)
    for ours, theirs in pairs:
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-10)
