"""The single-step neuron and its surrogate: formulas, gradients of whole networks, and what it leaves out."""

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings, strategies as st
from scipy import integrate
from torch.nn.functional import cross_entropy

from bisnn_pyro.errors import ModelError
from bisnn_pyro.models import (
    Boxcar,
    CategoricalRate,
    SingleStep,
    SingleStepNeuron,
    SpikingGLM,
)
from tests.models import reference

F64 = torch.float64
N_CLASSES = 3


def formula(x, alpha=4.0):
    """systems.md's two branches, in Python floats."""
    if x >= 0:
        return (alpha / 4) / (x + 1)
    p = 1 / (1 + math.exp(-alpha * x)) if -alpha * x < 700 else 0.0
    return alpha * p * (1 - p)


def slope(surrogate, x):
    return float(surrogate.derivative(torch.tensor(x, dtype=F64)))


# -- the surrogate ------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.5, 4.0, 20.0])
def test_formula(alpha):
    u = torch.cat((torch.linspace(-5, 5, 1001, dtype=F64), torch.tensor([-1.0, 0.0, -300.0, 1e6]).double()))
    ours = SingleStep(alpha=alpha).derivative(u)
    assert ours.tolist() == pytest.approx([formula(x, alpha) for x in u.tolist()], rel=1e-12, abs=1e-15)
    assert SingleStep(alpha=alpha).derivative(u.float()).dtype == torch.float32
    assert bool(ours.isfinite().all())


def test_the_branches_of_the_paper_meet_at_one():
    surrogate = SingleStep(alpha=4.0)
    assert slope(surrogate, 0.0) == slope(surrogate, -0.0) == 1.0
    assert slope(surrogate, -1e-9) == pytest.approx(1.0, abs=1e-8)
    assert slope(surrogate, 1e-9) == pytest.approx(1.0, abs=1e-8)


def primitive(x, alpha):
    """A smooth spike whose slope the surrogate is: the sigmoid below, and beta log(1 + x) above."""
    return 1 / (1 + np.exp(-alpha * x)) if x < 0 else 0.5 + alpha / 4 * np.log1p(x)


@pytest.mark.parametrize("alpha", [1.0, 4.0])
@given(x=st.floats(-4, 20))
def test_it_is_the_slope_of_its_primitive(alpha, x):
    step = 1e-5
    centred = (primitive(x + step, alpha) - primitive(x - step, alpha)) / (2 * step)
    # Central differences: error of order step (at the kink) times the second derivative.
    assert slope(SingleStep(alpha=alpha), x) == pytest.approx(centred, abs=1e-4)


def test_its_area_is_a_half_below_and_none_above():
    below, _ = integrate.quad(lambda x: slope(SingleStep(), x), -20, 0)
    assert below == pytest.approx(0.5, abs=1e-7)
    for end in (10.0, 1000.0):
        above, _ = integrate.quad(lambda x: slope(SingleStep(), x), 0, end, limit=200)
        assert above == pytest.approx(math.log1p(end), rel=1e-6)


@pytest.mark.parametrize("alpha", [0.0, -4.0, math.nan, math.inf])
def test_bad_alpha_is_refused(alpha):
    with pytest.raises(ModelError, match="alpha"):
        SingleStep(alpha=alpha)


def test_bad_width_is_refused():
    with pytest.raises(ModelError, match="width"):
        SingleStep(width=0.0)


# -- the neuron ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("threshold", [1.0, 0.0, -0.5])
def test_it_fires_from_its_threshold_on(threshold):
    current = threshold + torch.tensor([-1e-3, 0.0, 1e-3, 5.0, -5.0], dtype=F64).reshape(1, 1, 5)
    s, u, _ = SingleStepNeuron(threshold).fire(current, None)
    assert s.flatten().tolist() == [0, 1, 1, 1, 0]
    torch.testing.assert_close(u, current - threshold)


def test_the_trace_is_the_input_and_the_state_is_zero():
    x = torch.rand(2, 3, 4, 5)
    trace, state = SingleStepNeuron().trace(x, None)
    _, _, reset = SingleStepNeuron().fire(x, None)
    assert torch.equal(trace, x)
    for part in (*state, *reset):
        assert torch.equal(part, torch.zeros(2, 4, 5))


@pytest.mark.parametrize("threshold", [math.nan, math.inf])
def test_bad_threshold_is_refused(threshold):
    with pytest.raises(ModelError, match="threshold"):
        SingleStepNeuron(threshold)


# -- networks of it -----------------------------------------------------------------------------------


def build(sizes=(6, 9, 8), **options):
    model = SpikingGLM(
        sizes[0], sizes[1:], CategoricalRate(N_CLASSES), neuron=SingleStepNeuron(), gain=1.7, **options
    )
    return model.double()


def problem(model, draws=(), seed=0, n=11):
    """Return weights, one step of real inputs ``[1, B, I]``, and labels."""
    torch.manual_seed(seed)
    modules = [*model.layers, *([] if model.readout is None else [model.readout])]
    weights = {
        name: torch.randn(*draws, layer.fan_out, layer.fan_in, dtype=F64, requires_grad=True)
        for name, layer in zip(model.weight_sites, modules, strict=True)
    }
    x = torch.randn(1, n, model.layers[0].fan_in, dtype=F64)
    for layer in model.layers:
        if layer.normalisation is not None:
            layer.normalisation.gain = 0.5 + torch.rand(layer.fan_out, dtype=F64)
            layer.normalisation.offset = torch.randn(layer.fan_out, dtype=F64)
    return weights, x, torch.arange(n) % N_CLASSES


def by_hand(model, weights, x):
    """Return the read-outs ``[B, C]`` of one draw, by matrix products and autograd alone."""
    local, outs, a = model.credit == "local", [], x[0]
    n_layers = len(model.layers)
    for k in range(n_layers):
        w = weights[f"layers.{k}.weight"]
        current = 1.7 * a @ w.T / math.sqrt(w.shape[1])
        norm = model.layers[k].normalisation
        if norm is not None:
            spread = ((current - current.mean(0)) ** 2).mean(0)
            current = norm.gain * (current - current.mean(0)) / (spread + norm.eps).sqrt() + norm.offset
        s = reference.spike(current - 1.0, lambda u: u.clone().apply_(formula))
        slot = k - (n_layers - model._n_random)
        if slot >= 0:
            outs.append(s @ model.random_readout(slot).T)
        a = s.detach() if local else s
    if model.readout is not None:
        w = weights["readout.weight"]
        outs.append(a @ w.T / math.sqrt(w.shape[1]))
    return outs


OPTIONS = [
    {"credit": credit, "readout": readout, "normalise": normalise}
    for credit in ("local", "end-to-end")
    for readout in ("random", "trained")
    for normalise in (False, True)
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(map(str, o.values())))
@pytest.mark.parametrize("draws", [(), (3,)], ids=["one", "three"])
def test_network_and_gradients_against_autograd_by_hand(options, draws):
    model = build(**options)
    weights, x, y = problem(model, draws)
    run = model.train().simulate(weights, x)
    loss = sum(cross_entropy(r.flatten(0, -2), y.repeat(*draws or (1,))) for r in run.readouts)
    theirs = 0.0
    for d in range(draws[0] if draws else 1):
        one = {name: w[d] if draws else w for name, w in weights.items()}
        readouts = by_hand(model, one, x)
        for ours, expected in zip(run.readouts, readouts, strict=True):
            torch.testing.assert_close(ours[d, 0] if draws else ours[0], expected, rtol=1e-10, atol=1e-12)
        theirs = theirs + sum(cross_entropy(r, y) for r in readouts) / (draws[0] if draws else 1)
    leaves = [*weights.values(), *model.parameters()]
    for one, other in zip(
        torch.autograd.grad(loss, leaves), torch.autograd.grad(theirs, leaves), strict=True
    ):
        assert float(other.abs().max()) > 1e-5
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-11)


@given(seed=st.integers(0, 10**6), depth=st.integers(1, 5))
@settings(deadline=None, max_examples=20)
def test_end_to_end_credit_reaches_the_first_of_many_layers(seed, depth):
    model = build((5, *[7] * depth), credit="end-to-end", normalise=True)
    weights, x, _ = problem(model, seed=seed)
    run = model.train().simulate(weights, x)
    # What follows a silent layer has no slope in its weights, whatever the surrogate.
    assume(all(bool(s.any()) for s in run.spikes))
    run.readouts[-1].square().sum().backward()
    for w in weights.values():
        assert bool((w.grad != 0).any())


@pytest.mark.parametrize("normalise", [False, True])
def test_steps_are_independent_presentations(normalise):
    model = build(normalise=normalise).eval()
    weights, _, _ = problem(model)
    x, shown = torch.randn(4, 5, 6, dtype=F64), torch.randn(1, 20, 6, dtype=F64)
    model.set_reference(shown.expand(4, -1, -1))
    whole = model.simulate(weights, x)
    model.set_reference(shown)
    for t in range(4):
        alone = model.simulate(weights, x[t : t + 1])
        torch.testing.assert_close(alone.readouts[-1][0], whole.readouts[-1][t])


def test_activity_counts_potentials_about_the_threshold():
    # Currents 0.6, 1.4, 1.6 and -1: two of four within 0.5 of the threshold 1, two of four fire.
    model = SpikingGLM(1, [4], CategoricalRate(2), neuron=SingleStepNeuron(surrogate=SingleStep(0.5)))
    weights = {"layers.0.weight": torch.tensor([[0.6], [1.4], [1.6], [-1.0]])}
    report = model.activity(weights, torch.ones(1, 1, 1))
    assert report == {"rate_0": 0.5, "within_0": 0.5}
    other = SpikingGLM(1, [4], CategoricalRate(2), neuron=SingleStepNeuron(surrogate=Boxcar(0.3)))
    assert other.activity(weights, torch.ones(1, 1, 1))["within_0"] == 0.0
