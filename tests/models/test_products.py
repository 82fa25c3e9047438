"""Where a layer filters, which steps count, and what it stores: each choice leaves the numbers alone."""

import pytest
import torch

from bisnn_pyro.models import CategoricalSteps, EscapeNeuron, SimulationPlan, SpikingGLM, ThresholdNeuron
from bisnn_pyro.models import simulation as simulation_module
from bisnn_pyro.models.layers import filters_after, is_constant, joined, matmul_over_time

F64 = torch.float64
T, B = 9, 4


def build(n_inputs=5, hidden=(6, 7), **options):
    options = {"gain": 2.0, "readout_gain": 3.0, **options}
    return SpikingGLM(n_inputs, hidden, CategoricalSteps(3), **options).double()


def draws(model, shape=(2,)):
    torch.manual_seed(0)
    sizes = [(layer.fan_out, layer.fan_in) for layer in model.synapses]
    return {
        name: torch.randn(*shape, *size, dtype=F64, requires_grad=True)
        for name, size in zip(model.weight_sites, sizes, strict=True)
    }


def gradients(model, run, weights, first=0):
    """Gradients of a random functional of the read-outs from step ``first`` on."""
    torch.manual_seed(1)
    total = sum((r[..., first:, :, :] * torch.randn_like(r)[..., first:, :, :]).sum() for r in run.readouts)
    return torch.autograd.grad(total, list(weights.values()))


def check_same(model, one, other, weights, first=0):
    for kind in ("readouts", "spikes"):
        for a, b in zip(getattr(one, kind), getattr(other, kind), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-12)
    pairs = zip(gradients(model, one, weights, first), gradients(model, other, weights, first), strict=True)
    for a, b in pairs:
        assert bool((a != 0).any())
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


# -- a constant current: one product for all steps ------------------------------------------------


def constant(n_inputs=5, steps=T):
    torch.manual_seed(2)
    return torch.rand(B, n_inputs, dtype=F64).expand(steps, -1, -1)


@pytest.mark.parametrize("credit", ["local", "end-to-end"])
@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("shape", [(), (2,), (2, 3)])
def test_constant_current_is_the_sequence(credit, normalise, shape):
    model = build(credit=credit, normalise=normalise)
    weights, x = draws(model, shape), constant()
    written_out = x.contiguous()
    assert is_constant(x)
    assert not is_constant(written_out)
    one, other = model.simulate(weights, x), model.simulate(weights, written_out)
    check_same(model, one, other, weights)
    for a, b in zip(one.state.layers[0].synaptic, other.state.layers[0].synaptic, strict=True):
        torch.testing.assert_close(a, b)


def test_constant_current_forms_its_product_once(monkeypatch):
    model, rows = build(hidden=(6,)), []

    def spy(x, weight, uncounted=0):
        rows.append(x.shape[-3])
        return matmul_over_time(x, weight, uncounted)

    monkeypatch.setattr("bisnn_pyro.models.layers.matmul_over_time", spy)
    model.simulate(draws(model), constant())
    assert rows == [1]
    model.simulate(draws(model), constant().contiguous())
    assert rows == [1, T]


def test_windows_of_a_constant_current_carry_its_state_on():
    model = build()
    weights, x = draws(model), constant()
    whole = model.simulate(weights, x)
    first = model.simulate(weights, x[:4])
    second = model.simulate(weights, x[4:], first.state)
    for k, r in enumerate(whole.readouts):
        torch.testing.assert_close(torch.cat((first.readouts[k], second.readouts[k]), dim=-3), r)


def test_reference_of_constant_currents_stays_constant_through_a_file():
    model = build(normalise=True)
    x = constant()
    model.set_reference(x.clone())  # contiguous, as a file gives it back
    assert is_constant(model.reference)
    assert is_constant(joined(model.reference, x))
    moving = torch.rand(T, B, 5, dtype=F64)
    model.set_reference(moving)
    assert not is_constant(model.reference)
    assert torch.equal(joined(moving, x), torch.cat((moving, x), dim=1))


# -- filtering after the product ------------------------------------------------------------------


@pytest.mark.parametrize("credit", ["local", "end-to-end"])
@pytest.mark.parametrize("normalise", [False, True])
def test_filtering_sums_is_filtering_inputs(credit, normalise, monkeypatch):
    torch.manual_seed(3)
    model = build(n_inputs=40, hidden=(6, 7), credit=credit, normalise=normalise)
    weights = draws(model)
    x = (torch.rand(T, B, 40) < 0.3).double()
    asked = []
    monkeypatch.setattr(
        simulation_module, "filters_after", lambda *a: asked.append(filters_after(*a)) or asked[-1]
    )
    free, carried = model.simulate(weights, x, plan=SimulationPlan(carry=False)), model.simulate(weights, x)
    assert asked[0], "40 inputs, 2 x 6 sums, each passed twice: the sums are fewer"
    assert free.state is None
    assert carried.state is not None
    check_same(model, free, carried, weights)


def test_which_side_has_fewer_passes():
    x, leaf = torch.zeros(T, B, 30), torch.zeros(T, B, 30, requires_grad=True)
    weight, learned = torch.zeros(20, 30), torch.zeros(20, 30, requires_grad=True)
    assert filters_after(x, weight)  # 30 > 20
    assert not filters_after(x, learned)  # 30 < 2 * 20: the sums need the adjoint
    assert filters_after(leaf, learned)  # 2 * 30 > 2 * 20
    assert not filters_after(x, weight.expand(2, 20, 30))  # shared inputs, sums of each draw
    with torch.no_grad():
        assert filters_after(x, learned)


def test_a_neuron_that_is_not_linear_is_never_asked(monkeypatch):
    class Squared(ThresholdNeuron):
        linear = False

        def trace(self, spikes, state):
            trace, end = super().trace(spikes, state)
            return trace.square(), end

    monkeypatch.setattr(simulation_module, "filters_after", lambda *a: pytest.fail("asked"))
    model = build(n_inputs=40, neuron=Squared())
    x = torch.rand(B, 40, dtype=F64).expand(T, -1, -1)
    one = model.simulate(draws(model), x, plan=SimulationPlan(carry=False))
    torch.testing.assert_close(one.readouts[0], model.simulate(draws(model), x.contiguous()).readouts[0])


# -- steps without a loss, potentials without a reader --------------------------------------------


@pytest.mark.parametrize("readout", ["random", "trained"])
def test_uncounted_steps_are_left_out_of_the_gradient_only_where_they_are_zero(readout):
    for credit in ("local", "end-to-end"):
        model = build(credit=credit, readout=readout)
        weights = draws(model) if readout == "random" else None
        if weights is None:
            sizes = [(m.fan_out, m.fan_in) for m in [*model.synapses, model.readout]]
            torch.manual_seed(0)
            weights = {
                n: torch.randn(2, *s, dtype=F64, requires_grad=True)
                for n, s in zip(model.weight_sites, sizes, strict=True)
            }
        x = (torch.rand(T, B, 5) < 0.4).double()
        plain = model.simulate(weights, x)
        short = model.simulate(weights, x, plan=SimulationPlan(uncounted=3))
        check_same(model, plain, short, weights, first=3)


def test_uncounted_steps_are_left_out_indeed():
    torch.manual_seed(0)
    x, weight = torch.randn(T, B, 5, dtype=F64), torch.randn(6, 5, dtype=F64, requires_grad=True)
    out = matmul_over_time(x, weight, 4)
    torch.testing.assert_close(out, matmul_over_time(x, weight))
    (ours,) = torch.autograd.grad(out.sum(), weight)
    (theirs,) = torch.autograd.grad(matmul_over_time(x, weight)[4:].sum(), weight)
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("neuron", [ThresholdNeuron(), EscapeNeuron(delta=0.3)], ids=["threshold", "escape"])
def test_potentials_are_recorded_only_on_demand(neuron):
    model = build(neuron=neuron)
    weights = draws(model)
    x = (torch.rand(T, B, 5) < 0.4).double()
    torch.manual_seed(4)
    with_them = model.simulate(weights, x)
    torch.manual_seed(4)
    without = model.simulate(weights, x, plan=SimulationPlan(record=False))
    assert without.potentials == ()
    assert len(with_them.potentials) == 2
    check_same(model, with_them, without, weights)
