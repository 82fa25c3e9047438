"""The linear filters against explicit loops."""

import math

import pytest
import torch
from hypothesis import given, settings, strategies as st

from bisnn_pyro.errors import ModelError
from bisnn_pyro.models import FilterState, TimeConstants, alpha_filter, refractory_trace, use_backend
from tests.models import reference

BACKENDS = pytest.mark.parametrize("backend", ["torch", "numba"])
F64 = torch.float64

shapes = st.tuples(
    st.sampled_from([(), (1,), (3,), (2, 2)]), st.integers(1, 25), st.integers(0, 3), st.integers(1, 4)
)
constants = st.builds(TimeConstants, *(st.floats(0.05, 200.0) for _ in range(3)))


def sequence(shape, seed, binary=True, dtype=F64):
    draws, n_steps, batch, units = shape
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(*draws, n_steps, batch, units, generator=generator, dtype=F64)
    return (x < 0.4).to(dtype) if binary else x.mul_(2).sub_(1).to(dtype)


@BACKENDS
@given(shape=shapes, taus=constants, seed=st.integers(0, 1000), binary=st.booleans())
@settings(deadline=None, max_examples=40)
def test_alpha_filter_is_the_loop(backend, shape, taus, seed, binary):
    x = sequence(shape, seed, binary)
    expected = reference.filter_loop(x, taus.membrane, taus.synapse)
    with use_backend(backend):
        trace, state = alpha_filter(x, taus)
        single, _ = alpha_filter(x.float(), taus)
    torch.testing.assert_close(trace, expected, rtol=1e-10, atol=1e-13)
    # float32: rounding accumulates over at most 25 steps on numbers of size 1.
    torch.testing.assert_close(single, expected.float(), rtol=1e-4, atol=1e-5)
    assert state.p.shape == state.q.shape == (*shape[0], *shape[2:])


@BACKENDS
def test_constant_input_tends_to_one(backend):
    with use_backend(backend):
        trace, state = alpha_filter(torch.ones(400, 1, 1, dtype=F64), TimeConstants())
    assert float(trace[-1]) == pytest.approx(1, abs=1e-12)
    assert float(state.p) == pytest.approx(TimeConstants().dc_gain)
    assert bool((trace[1:] >= trace[:-1]).all())


def test_impulse_response_is_the_alpha_kernel():
    x = torch.zeros(30, 1, 1, dtype=F64)
    x[0] = 1
    trace, _ = alpha_filter(x, TimeConstants(10, 6, 2))
    a, b = math.exp(-1 / 10), math.exp(-1 / 6)
    kernel = [(a**t - b**t) / (a - b) * (1 - a) * (1 - b) for t in range(30)]
    assert trace.flatten().tolist() == pytest.approx(kernel, abs=1e-15)
    assert float(trace[0]) == 0.0, "a spike acts from the next step on"


@BACKENDS
@given(shape=shapes, taus=constants, seed=st.integers(0, 1000), data=st.data())
@settings(deadline=None, max_examples=30)
def test_windows_with_carried_state_are_the_whole(backend, shape, taus, seed, data):
    x = sequence(shape, seed)
    cut = data.draw(st.integers(0, shape[1]))
    with use_backend(backend):
        whole, end = alpha_filter(x, taus)
        traces, r_end, last_end = refractory_trace(x, taus.decays[2])
        pieces, state = [], None
        refractory, rest = [], (None, None)
        for part in (x[..., :cut, :, :], x[..., cut:, :, :]):
            if part.shape[-3]:
                out, state = alpha_filter(part, taus, state)
                pieces.append(out)
                out, *rest = refractory_trace(part, taus.decays[2], *rest)
                refractory.append(out)
    assert torch.equal(torch.cat(pieces, dim=-3), whole)
    assert all(torch.equal(*z) for z in zip(state, end, strict=True))
    assert torch.equal(torch.cat(refractory, dim=-3), traces)
    assert torch.equal(rest[0], r_end)
    assert torch.equal(rest[1], last_end)
    assert torch.equal(last_end, x[..., -1, :, :])


@BACKENDS
@given(shape=shapes, taus=constants, seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=30)
def test_refractory_trace_is_the_loop(backend, shape, taus, seed):
    s = sequence(shape, seed)
    with use_backend(backend):
        out, _, _ = refractory_trace(s, taus.decays[2])
    torch.testing.assert_close(out, reference.refractory_loop(s, taus.refractory), rtol=1e-12, atol=1e-14)


@BACKENDS
def test_refractory_trace_carries_no_gradient(backend):
    s = torch.rand(5, 2, 3, requires_grad=True)
    with use_backend(backend):
        assert not any(x.requires_grad for x in refractory_trace(s, 0.6))


@BACKENDS
@given(shape=shapes.filter(lambda s: s[2] > 0), taus=constants, seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=30)
def test_adjoint_is_that_of_the_loop(backend, shape, taus, seed):
    x = sequence(shape, seed, binary=False).requires_grad_()
    direction = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed), dtype=F64)
    with use_backend(backend):
        trace, _ = alpha_filter(x, taus)
        (ours,) = torch.autograd.grad((trace * direction).sum(), x)
    loop = reference.filter_loop(x, taus.membrane, taus.synapse)
    (theirs,) = torch.autograd.grad((loop * direction + 0 * x).sum(), x)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


@BACKENDS
def test_gradcheck_from_a_given_state(backend):
    torch.manual_seed(0)
    x = torch.randn(2, 6, 2, 3, dtype=F64, requires_grad=True)
    state = FilterState(*torch.rand(2, 2, 2, 3, dtype=F64))
    with use_backend(backend):
        assert torch.autograd.gradcheck(lambda z: alpha_filter(z, TimeConstants(), state)[0], x)


def test_state_carries_no_gradient():
    x = torch.rand(5, 2, 3, requires_grad=True)
    trace, state = alpha_filter(x, TimeConstants())
    assert trace.requires_grad
    assert not state.p.requires_grad
    assert not state.q.requires_grad


@BACKENDS
def test_inputs_and_state_are_left_alone(backend):
    x, state = torch.rand(5, 2, 3), FilterState(*torch.rand(2, 2, 3))
    r, last = torch.rand(2, 2, 3)
    kept = [z.clone() for z in (x, *state, r, last)]
    with use_backend(backend):
        alpha_filter(x, TimeConstants(), state)
        refractory_trace(x, 0.5, r, last)
    assert all(torch.equal(*z) for z in zip((x, *state, r, last), kept, strict=True))


def test_dc_gain_and_decays():
    taus = TimeConstants()
    assert taus.decays == pytest.approx((math.exp(-1 / 10), math.exp(-1 / 6), math.exp(-1 / 2)))
    assert taus.dc_gain == pytest.approx(1 / ((1 - math.exp(-0.1)) * (1 - math.exp(-1 / 6))))


@pytest.mark.parametrize("name", ["membrane", "synapse", "refractory"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan])
def test_bad_time_constants_are_refused(name, value):
    with pytest.raises(ModelError, match=name):
        TimeConstants(**{name: value})
