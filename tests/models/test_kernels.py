"""Two backends, the same bits, and never one in place of the other."""

import sys

import pytest
import torch
from hypothesis import given, settings, strategies as st

from bisnn_pyro.compute import BACKENDS, current_backend
from bisnn_pyro.errors import ModelError
from bisnn_pyro.models import (
    Boxcar,
    FilterState,
    ResetState,
    TimeConstants,
    alpha_filter,
    refractory_trace,
    threshold_scan,
    use_backend,
)
from bisnn_pyro.models.kernels import numba_backend, torch_backend


def run_all(x, taus, reset, backend, states):
    """Return everything that the kernels compute, gradients included, as one flat list."""
    p, q, r, s = states
    x = x.detach().requires_grad_()
    with use_backend(backend):
        trace, end = alpha_filter(x, taus, FilterState(p, q))
        spikes, u, state = threshold_scan(
            trace - 0.2, taus.decays[2], Boxcar(), reset=reset, state=ResetState(r, s)
        )
        refractory = refractory_trace(spikes, taus.decays[2], r, s)
        (gradient,) = torch.autograd.grad(spikes.sum(), x)
    return [trace, *end, spikes, u, *state, *refractory, gradient]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@given(
    draws=st.sampled_from([(), (1,), (3,), (2, 2)]),
    n_steps=st.integers(1, 20),
    batch=st.integers(1, 3),
    units=st.sampled_from([1, 2, 7, 33]),
    taus=st.builds(TimeConstants, *(st.floats(0.05, 200.0) for _ in range(3))),
    reset=st.floats(0, 3),
    seed=st.integers(0, 1000),
)
@settings(deadline=None, max_examples=40)
def test_same_bits(dtype, draws, n_steps, batch, units, taus, reset, seed):
    torch.manual_seed(seed)
    x = torch.randn(*draws, n_steps, batch, units, dtype=dtype)
    states = torch.rand(4, *draws, batch, units, dtype=dtype)
    ours, theirs = (run_all(x, taus, reset, backend, states) for backend in ("torch", "numba"))
    assert all(torch.equal(*pair) for pair in zip(ours, theirs, strict=True))


def test_same_bits_beyond_one_block_and_for_any_layout():
    torch.manual_seed(0)
    x = torch.randn(2, 30, 700, 9).transpose(-1, -2)[..., ::2]
    assert not x.is_contiguous()
    assert x.shape[-1] * x.shape[-2] > numba_backend._BLOCK
    states = torch.rand(4, 2, 350, 9).mT
    ours, theirs = (run_all(x, TimeConstants(), 1.0, backend, states) for backend in ("torch", "numba"))
    assert all(torch.equal(*pair) for pair in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_empty_batch(dtype):
    states = torch.rand(4, 2, 0, 3, dtype=dtype)
    for backend in BACKENDS:
        out = run_all(torch.rand(2, 5, 0, 3, dtype=dtype), TimeConstants(), 1.0, backend, states)
        assert out[0].shape == (2, 5, 0, 3)


def test_unknown_name_is_refused():
    with pytest.raises(ModelError, match="unknown kernel backend 'cuda'"), use_backend("cuda"):
        pass
    assert current_backend() == "auto"


def test_selection_is_restored_also_after_an_error():
    with use_backend("torch"):
        assert current_backend() == "torch"
        with use_backend("numba"):
            assert current_backend() == "numba"
        assert current_backend() == "torch"
        with pytest.raises(RuntimeError), use_backend("numba"):
            raise RuntimeError
        assert current_backend() == "torch"
    assert current_backend() == "auto"


class _UsedError(Exception):
    pass


@pytest.mark.parametrize(
    ("name", "module"), [("torch", torch_backend), ("numba", numba_backend), ("auto", numba_backend)]
)
def test_the_one_asked_for_is_the_one_that_runs(name, module, monkeypatch):
    def used(*args):
        raise _UsedError

    monkeypatch.setattr(module, "filter_sequence", used)
    with use_backend(name), pytest.raises(_UsedError):
        alpha_filter(torch.ones(3, 1, 1), TimeConstants())


@pytest.mark.parametrize("name", ["numba", "auto"])
def test_missing_numba_is_an_error_not_a_fallback(name, monkeypatch):
    import bisnn_pyro.models.kernels as package

    monkeypatch.setitem(sys.modules, "bisnn_pyro.models.kernels.numba_backend", None)
    monkeypatch.delattr(package, "numba_backend")
    with use_backend(name), pytest.raises(ImportError):
        alpha_filter(torch.ones(3, 1, 1), TimeConstants())


def test_numba_refuses_what_it_cannot_do():
    with use_backend("numba"):
        with pytest.raises(ModelError, match="run on the CPU, not on meta"):
            alpha_filter(torch.ones(3, 1, 1, device="meta"), TimeConstants())
        with pytest.raises(ModelError, match="bfloat16"):
            alpha_filter(torch.ones(3, 1, 1, dtype=torch.bfloat16), TimeConstants())


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool], ids=str)
def test_integers_are_refused(name, dtype):
    # The decays would round to 0 in an integer type.
    with use_backend(name), pytest.raises(ModelError, match="floating-point"):
        alpha_filter(torch.ones(3, 1, 1, dtype=dtype), TimeConstants())
