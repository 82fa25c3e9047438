"""A network's whole-sequence output and gradients against the step-by-step reference network."""

import pytest
import torch
from hypothesis import given, settings, strategies as st
from pyro import poutine
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from bisnn_pyro.models import (
    Boxcar,
    CategoricalRate,
    CategoricalSteps,
    SpikingGLM,
    ThresholdNeuron,
    Triangle,
    Window,
)
from bisnn_pyro.models.likelihoods import BernoulliSteps
from tests.models import reference

F64 = torch.float64
N_CLASSES = 3


def build(problem, dtype=F64, *, surrogate=None, likelihood=None, **options):
    neuron = ThresholdNeuron(*problem.constants, problem.reset, surrogate or Boxcar())
    likelihood = likelihood or CategoricalSteps(N_CLASSES)
    model = SpikingGLM(problem.sizes[0], problem.sizes[1:], likelihood, neuron=neuron, **options)
    if dtype == F64:
        model.double()
    for k, layer in enumerate(model.layers):
        if layer.bias is not None:
            torch.manual_seed(problem.seed + 100 + k)
            layer.bias = 0.3 * torch.randn(layer.fan_out, dtype=dtype)
    return model


def tensors(problem, model, binary, dtype=F64):
    """Return weights ``[*S, O, I]`` for each site and input spikes."""
    generator = torch.Generator().manual_seed(problem.seed)
    draws = () if problem.draws is None else (problem.draws,)
    sizes = [(layer.fan_out, layer.fan_in) for layer in model.layers]
    if model.readout is not None:
        sizes.append((model.readout.fan_out, model.readout.fan_in))
    weights = {}
    for name, size in zip(model.weight_sites, sizes, strict=True):
        w = torch.randn(*draws, *size, generator=generator, dtype=F64)
        weights[name] = (w.sign() if binary else w.tanh()).to(dtype)
    shape = (problem.n_steps, problem.batch, problem.sizes[0])
    return weights, (torch.rand(shape, generator=generator) < 0.4).to(dtype)


def loops(problem, model, weights, spikes, *, gain=1.0, readout_gain=1.0, **options):
    """Return the reference's run for each draw, with the model's own fixed read-outs."""
    n_layers = len(problem.sizes) - 1
    names = [f"layers.{k}.weight" for k in range(n_layers)]
    fixed = [b.double() for name, b in model.named_buffers() if name.startswith("random_readout_")]
    readouts = [None] * (n_layers - len(fixed)) + fixed
    biases = None
    if model.layers[0].bias is not None:
        biases = [layer.bias.detach().double() for layer in model.layers]
    for d in range(problem.draws or 1):
        pick = (lambda w: w) if problem.draws is None else (lambda w, d=d: w[d])
        trained = None
        if model.readout is not None:
            trained = (pick(weights["readout.weight"]).double(), readout_gain)
        yield reference.network_loop(
            [pick(weights[name]).double() for name in names],
            spikes.double(),
            readouts,
            constants=problem.constants,
            reset=problem.reset,
            gain=gain,
            biases=biases,
            trained=trained,
            **{"surrogate": reference.boxcar, **options},
        )


def check_same(problem, run, expected, tolerance):
    """Compare spikes and potentials; return the share of units left out as near their threshold."""
    left_out = total = 0
    for d, loop in enumerate(expected):
        pick = (lambda x: x) if problem.draws is None else (lambda x, d=d: x[d])
        clear_so_far = torch.ones(problem.batch, dtype=torch.bool)
        for k, near in enumerate(loop.near):
            # A layer's own units are independent; a flipped one may reach every unit downstream.
            clear = (~near & clear_so_far[:, None]).expand(problem.n_steps, -1, -1)
            s, u = pick(run.spikes[k]).double(), pick(run.potentials[k]).double()
            assert torch.equal(s[clear], loop.spikes[k][clear])
            torch.testing.assert_close(u[clear], loop.potentials[k][clear], rtol=tolerance, atol=tolerance)
            clear_so_far &= ~near.any(dim=1)
            left_out, total = left_out + int((~clear).sum()), total + clear.numel()
        for ours, theirs in zip(run.readouts, loop.readouts, strict=True):
            ours = pick(ours).double()[:, clear_so_far]
            torch.testing.assert_close(ours, theirs[:, clear_so_far], rtol=tolerance, atol=tolerance)
    return left_out / total


OPTIONS = [
    {},
    {"gain": 1.7, "readout_gain": 3.0, "bias": True},
    {"credit": "end-to-end"},
    {"credit": "end-to-end", "readout": "trained", "readout_gain": 2.0, "gain": 2.5},
    {"readout": "trained", "bias": True},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(F64, 1e-9), (torch.float32, 3e-6)], ids=["float64", "float32"]
)
@given(problem=reference.problems(), binary=st.booleans())
@settings(deadline=None, max_examples=60)
def test_whole_sequence_is_the_step_by_step_network(options, dtype, tolerance, problem, binary):
    model = build(problem, dtype, **options)
    weights, spikes = tensors(problem, model, binary, dtype)
    gains = {k: v for k, v in options.items() if k.endswith("gain")}
    expected = loops(problem, model, weights, spikes, tolerance=tolerance, **gains)
    check_same(problem, model.simulate(weights, spikes), expected, tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), [(F64, 1e-9), (torch.float32, 3e-6)], ids=str)
@pytest.mark.parametrize("binary", [False, True])
def test_the_exemption_is_rarely_used(dtype, tolerance, binary):
    # Else the test above would say nothing: fixed seed, the paper's constants, 3 x 40 x 4 x (16 + 16) units.
    problem = reference.Problem((12, 16, 16), 40, 4, 3, (10.0, 6.0, 2.0), 1.0, 0)
    model = build(problem, dtype)
    weights, spikes = tensors(problem, model, binary, dtype)
    run = model.simulate(weights, spikes)
    left_out = check_same(
        problem, run, loops(problem, model, weights, spikes, tolerance=tolerance), tolerance
    )
    assert left_out <= (0.0 if dtype == F64 else 0.1)
    assert all(0.05 < float(s.mean()) < 0.95 for s in run.spikes)


@given(problem=reference.problems(), cut=st.integers(0, 20))
@settings(deadline=None, max_examples=25)
@pytest.mark.parametrize("options", [{}, {"readout": "trained", "credit": "end-to-end"}], ids=str)
def test_windows_with_carried_state_are_the_whole(options, problem, cut):
    model = build(problem, **options)
    weights, spikes = tensors(problem, model, binary=False)
    whole, state, pieces = model.simulate(weights, spikes), None, []
    for part in (spikes[:cut], spikes[cut:]):
        if len(part):
            pieces.append(model.simulate(weights, part, state))
            state = pieces[-1].state.detach()
    for kind in ("readouts", "spikes", "potentials"):
        for k, expected in enumerate(getattr(whole, kind)):
            joined = torch.cat([getattr(piece, kind)[k] for piece in pieces], dim=-3)
            torch.testing.assert_close(joined, expected, rtol=1e-12, atol=1e-12)


def nll_of(model, weights, spikes, y, window=None):
    """Return minus the log-probability of all likelihood sites, by a trace of the conditioned model."""
    given = {name: w if w.dim() == 2 else w.unsqueeze(-3) for name, w in weights.items()}
    trace = poutine.trace(poutine.condition(model, data=given)).get_trace(spikes, y, window=window)
    trace.compute_log_prob()
    return -sum(
        node["log_prob"].sum()
        for name, node in trace.nodes.items()
        if node["type"] == "sample" and name not in weights and node["is_observed"]
    )


def mean_step_nll(readout, y, burn_in):
    """Cross-entropy, averaged over the counted steps and summed over examples."""
    steps = readout[burn_in:]
    target = y.expand(steps.shape[0], -1)
    total = cross_entropy(steps.flatten(0, 1), target.flatten(), reduction="sum")
    return total / steps.shape[0]


GRADIENTS = pytest.mark.parametrize("draws", [None, 2])


def gradient_problem(draws, seed=3):
    return reference.Problem((6, 8, 7, 5), 25, 4, draws, (10.0, 6.0, 2.0), 1.0, seed)


def compare_gradients(problem, model, burn_in, nll, **options):
    weights, spikes = tensors(problem, model, binary=False)
    y = torch.arange(problem.batch) % N_CLASSES
    leaves = {name: w.requires_grad_() for name, w in weights.items()}
    names = list(leaves)
    ours = nll_of(model, leaves, spikes, y)
    our_gradients = torch.autograd.grad(ours, list(leaves.values()))
    theirs = 0.0
    for loop in loops(problem, model, leaves, spikes, **options):
        assert not any(bool(near.any()) for near in loop.near)
        theirs = theirs + sum(nll(readout, y, burn_in) for readout in loop.readouts)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
    their_gradients = torch.autograd.grad(theirs, list(leaves.values()))
    for name, one, other in zip(names, our_gradients, their_gradients, strict=True):
        assert float(other.abs().max()) > 1e-4, f"the test says nothing about {name}"
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-10, msg=lambda m, n=name: f"{n}: {m}")


@GRADIENTS
@pytest.mark.parametrize(
    "surrogate", [(Boxcar(), reference.boxcar), (Triangle(), reference.triangle)], ids=["boxcar", "triangle"]
)
@pytest.mark.parametrize("options", [{}, {"readout": "trained", "gain": 1.5}], ids=str)
def test_local_gradient_is_that_of_the_loop_with_detached_traces_and_reset(draws, surrogate, options):
    problem = gradient_problem(draws)
    model = build(problem, surrogate=surrogate[0], burn_in=4, **options)
    gain = {"gain": options["gain"]} if "gain" in options else {}
    compare_gradients(problem, model, 4, mean_step_nll, surrogate=surrogate[1], **gain)


@GRADIENTS
@pytest.mark.parametrize("options", [{}, {"readout": "trained", "gain": 1.5}], ids=str)
def test_end_to_end_gradient_is_autograd_of_the_loop(draws, options):
    problem = gradient_problem(draws)
    model = build(problem, surrogate=Triangle(), burn_in=4, credit="end-to-end", **options)
    gain = {"gain": options["gain"]} if "gain" in options else {}
    compare_gradients(problem, model, 4, mean_step_nll, surrogate=reference.triangle, local=False, **gain)


@given(seed=st.integers(0, 1000), constants=st.tuples(*(st.floats(0.5, 20) for _ in range(3))))
@settings(deadline=None, max_examples=15)
@pytest.mark.parametrize("local", [True, False])
def test_gradients_for_random_weights_and_time_constants(local, seed, constants):
    problem = reference.Problem((4, 5, 4), 12, 2, None, constants, 1.0, seed)
    model = build(problem, surrogate=Triangle(1.5), credit="local" if local else "end-to-end")
    weights, spikes = tensors(problem, model, binary=False)
    y = torch.tensor([0, 2])
    leaves = [w.requires_grad_() for w in weights.values()]
    ours = torch.autograd.grad(nll_of(model, weights, spikes, y), leaves)
    (loop,) = loops(
        problem, model, weights, spikes, surrogate=lambda u: reference.triangle(u, 1.5), local=local
    )
    if any(bool(near.any()) for near in loop.near):
        return
    theirs = torch.autograd.grad(sum(mean_step_nll(r, y, 0) for r in loop.readouts), leaves)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-10)


def test_local_credit_of_a_rate_and_of_a_bernoulli_likelihood():
    def rate(readout, y, burn_in):
        return cross_entropy(readout[burn_in:].mean(0), y, reduction="sum")

    def bernoulli(readout, y, burn_in):
        steps = readout[burn_in:, :, 0]
        target = y.to(F64).expand(steps.shape)
        return binary_cross_entropy_with_logits(steps, target, reduction="sum") / steps.shape[0]

    problem = gradient_problem(None)
    model = build(problem, likelihood=CategoricalRate(N_CLASSES), burn_in=2)
    compare_gradients(problem, model, 2, rate)
    problem = problem._replace(batch=2)
    model = build(problem, likelihood=BernoulliSteps(), burn_in=2)
    compare_gradients(problem, model, 2, bernoulli)


def test_bias_gradient_and_scale_of_the_loss():
    problem = gradient_problem(None)
    model = build(problem, bias=True)
    weights, spikes = tensors(problem, model, binary=False)
    y = torch.arange(4) % N_CLASSES
    plain = nll_of(model, weights, spikes, y)
    model.dataset_size = 20
    torch.testing.assert_close(nll_of(model, weights, spikes, y), 5 * plain)


@pytest.mark.parametrize("size", [1, 3, 7])
def test_window_losses_add_up_to_the_whole(size):
    problem = gradient_problem(None)
    model = build(problem, burn_in=4)
    weights, spikes = tensors(problem, model, binary=False)
    y = torch.arange(4) % N_CLASSES
    whole, counted = nll_of(model, weights, spikes, y), problem.n_steps - 4
    state = model.simulate(weights, spikes[:4]).state.detach()
    total = 0.0
    for start in range(4, problem.n_steps, size):
        part = spikes[start : start + size]
        window = Window(start=start, burn_in=0, fraction=len(part) / counted)
        trace = poutine.trace(poutine.condition(model, data=weights)).get_trace(
            part, y, state=state, window=window
        )
        trace.compute_log_prob()
        total -= sum(trace.nodes[n]["log_prob"].sum() for n in ("y", "local_0", "local_1"))
        state = trace.nodes["_RETURN"]["value"].state.detach()
    torch.testing.assert_close(total, whole, rtol=1e-10, atol=1e-10)
