"""Spike pooling against windows taken one by one."""

import pytest
import torch
from hypothesis import given, settings, strategies as st

from bisnn_pyro.errors import ModelError
from bisnn_pyro.models import SpikePool
from tests.models.unfolding import pooled, pooling_windows

F64 = torch.float64


@pytest.mark.parametrize("kind", ["max", "mean"])
@pytest.mark.parametrize("draws", [(), (2,)])
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(2, 7), st.integers(2, 7)),
    window=st.integers(1, 3),
    rate=st.sampled_from([0.1, 0.5]),
    seed=st.integers(0, 1000),
)
@settings(deadline=None, max_examples=20)
def test_values_and_gradients_are_those_of_the_windows(kind, draws, shape, window, rate, seed):
    pool = SpikePool(shape, min(window, *shape[1:]), kind)
    torch.manual_seed(seed)
    spikes = (torch.rand(*draws, 3, 2, shape[0] * shape[1] * shape[2], dtype=F64) < rate).to(F64)
    spikes.requires_grad_()
    one, other = pool(spikes), pooled(spikes, shape, pool.window, kind)
    assert torch.equal(one, other) if kind == "max" else torch.allclose(one, other)
    functional = torch.randn_like(one)
    found = [torch.autograd.grad((x * functional).sum(), spikes)[0] for x in (one, other)]
    torch.testing.assert_close(*found)


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_max_is_a_spike_where_any_unit_fires(dtype):
    torch.manual_seed(0)
    spikes = (torch.rand(5, 2, 6 * 4 * 3) < 0.3).to(dtype)
    out = SpikePool((3, 6, 4), 2)(spikes)
    assert out.dtype == dtype
    assert torch.equal(out, spikes[..., pooling_windows((3, 6, 4), 2)].any(-1).to(dtype))


def test_ties_go_to_the_first_unit_of_a_window():
    for fired, first in (((), 0), ((2, 3), 2), ((1, 2, 3), 1)):
        spikes = torch.zeros(1, 1, 4)
        spikes[..., list(fired)] = 1
        spikes.requires_grad_()
        SpikePool((1, 2, 2), 2)(spikes).sum().backward()
        assert spikes.grad.flatten().tolist() == [float(k == first) for k in range(4)]


def test_what_is_left_over_is_dropped():
    pool = SpikePool((2, 5, 4), 2, "mean")
    assert pool.pooled == (2, 2, 2)
    spikes = torch.zeros(1, 1, 5, 4, 2)
    spikes[:, :, 4] = 1
    assert not bool(pool(spikes.flatten(2)).any())


def test_a_window_larger_than_the_maps_is_refused():
    with pytest.raises(ModelError, match="pool = 3 does not fit into maps of 2 x 6: make it smaller"):
        SpikePool((4, 2, 6), 3)
