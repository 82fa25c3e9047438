"""The reset's scan against an explicit loop."""

import math

import pytest
import torch
from hypothesis import given, settings, strategies as st

from bisnn_pyro.models import Boxcar, ResetState, Triangle, threshold_scan, use_backend
from tests.models import reference

BACKENDS = pytest.mark.parametrize("backend", ["torch", "numba"])
F64 = torch.float64

shapes = st.tuples(
    st.sampled_from([(), (1,), (3,), (2, 2)]), st.integers(1, 25), st.integers(0, 3), st.integers(1, 4)
)


def current(shape, seed, dtype=F64):
    draws, n_steps, batch, units = shape
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(*draws, n_steps, batch, units, generator=generator, dtype=F64) + 0.5).to(dtype)


@BACKENDS
@given(
    shape=shapes,
    tau=st.floats(0.05, 100),
    reset=st.floats(0, 3),
    seed=st.integers(0, 1000),
    noisy=st.booleans(),
)
@settings(deadline=None, max_examples=40)
@pytest.mark.parametrize(("dtype", "tolerance"), [(F64, 1e-9), (torch.float32, 1e-4)], ids=str)
def test_scan_is_the_loop(backend, dtype, tolerance, shape, tau, reset, seed, noisy):
    x = current(shape, seed, dtype)
    noise = current(shape, seed + 1, dtype) if noisy else None
    exact = None if noise is None else noise.double()
    spikes, potentials = reference.neuron_loop(x.double(), tau, reset, reference.boxcar, exact)
    with use_backend(backend):
        s, u, state = threshold_scan(x, math.exp(-1 / tau), Boxcar(), reset=reset, noise=noise)
    drive = potentials if exact is None else potentials + exact
    # Units that came within the rounding of the threshold may go their own way from there.
    clear = (drive.abs() >= tolerance).all(dim=-3, keepdim=True).expand(drive.shape)
    assert torch.equal(s[clear].double(), spikes[clear])
    torch.testing.assert_close(u[clear].double(), potentials[clear], rtol=tolerance, atol=tolerance)
    assert s.dtype == u.dtype == state.r.dtype == dtype
    assert torch.equal(state.s, s[..., -1, :, :])
    if dtype == F64:
        assert bool(clear.all())


@BACKENDS
@given(shape=shapes, tau=st.floats(0.05, 100), seed=st.integers(0, 1000), data=st.data())
@settings(deadline=None, max_examples=30)
def test_windows_with_carried_state_are_the_whole(backend, shape, tau, seed, data):
    x, cut = current(shape, seed), data.draw(st.integers(1, shape[1]))
    noise = current(shape, seed + 1)
    args = (math.exp(-1 / tau), Boxcar())
    with use_backend(backend):
        whole = threshold_scan(x, *args, noise=noise)
        first = threshold_scan(x[..., :cut, :, :], *args, noise=noise[..., :cut, :, :])
        if cut == shape[1]:
            return
        rest = threshold_scan(x[..., cut:, :, :], *args, noise=noise[..., cut:, :, :], state=first[2])
    for k in range(2):
        assert torch.equal(torch.cat((first[k], rest[k]), dim=-3), whole[k])
    assert all(torch.equal(*z) for z in zip(rest[2], whole[2], strict=True))


@BACKENDS
@pytest.mark.parametrize("noisy", [False, True])
def test_gradient_is_that_of_the_loop_with_detached_reset(backend, noisy):
    x = current(((2,), 30, 3, 4), 0).requires_grad_()
    noise = 0.3 * current(((2,), 30, 3, 4), 1) if noisy else None
    direction = current(((2,), 30, 3, 4), 2)
    with use_backend(backend):
        s, u, state = threshold_scan(x, 0.6, Triangle(0.5), reset=0.8, noise=noise)
        (ours,) = torch.autograd.grad((s * direction).sum(), x)
    loop, _ = reference.neuron_loop(x, -1 / math.log(0.6), 0.8, reference.triangle, noise)
    (theirs,) = torch.autograd.grad((loop * direction).sum(), x)
    assert int((ours != 0).sum()) > 100
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)
    assert not u.requires_grad
    assert not any(z.requires_grad for z in state)


@BACKENDS
def test_at_the_threshold_a_unit_fires(backend):
    with use_backend(backend):
        s, u, _ = threshold_scan(torch.tensor([0.0, 1.0, 0.999]).reshape(3, 1, 1), 0.0, Boxcar())
    # Step 1: current 1 less the reset of the spike before is 0 again.
    assert s.flatten().tolist() == [1, 1, 0]
    assert u.flatten().tolist()[:2] == [0, 0]


@BACKENDS
def test_inputs_and_state_are_left_alone(backend):
    x, state = torch.randn(5, 2, 3), ResetState(torch.rand(2, 3), torch.ones(2, 3))
    kept = [z.clone() for z in (x, *state)]
    with use_backend(backend):
        threshold_scan(x, 0.5, Boxcar(), state=state)
    assert all(torch.equal(*z) for z in zip((x, *state), kept, strict=True))
