"""Encoders: the contract for each, and each against its formula."""

import math

import pytest
import torch
from hypothesis import given, settings, strategies as st
from scipy.stats import binom

from bisnn_pyro.data import (
    BernoulliRateEncoder,
    DirectEncoder,
    LatencyEncoder,
    PopulationEncoder,
    SpikesEncoder,
)
from bisnn_pyro.errors import DataError
from bisnn_pyro.testing.encoders import EncoderContract

FALSE_ALARM = 1e-9  # over all comparisons of one test; the seeds are fixed, so it is met once or never


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class TestPopulation(EncoderContract):
    def make(self):
        return PopulationEncoder(n_neurons=4, n_steps=20)


class TestPopulationCurrents(EncoderContract):
    def make(self):
        return PopulationEncoder(n_neurons=5, width=4.0, n_steps=6, stochastic=False)


class TestRate(EncoderContract):
    def make(self):
        return BernoulliRateEncoder(n_steps=20, max_rate=0.7)


class TestLatency(EncoderContract):
    def make(self):
        return LatencyEncoder(n_steps=9)


class TestDirect(EncoderContract):
    def make(self):
        return DirectEncoder(n_steps=5)


class TestSpikes(EncoderContract):
    def make(self):
        return SpikesEncoder(n_steps=7)

    def batch(self, size, dtype=torch.float32):
        shape = (size, 7, self.n_features)
        return (torch.rand(shape, generator=seeded(self.seed)) < 0.3).to(dtype)


def counts_outside(spikes: torch.Tensor, rates: torch.Tensor) -> int:
    """How many neurons' spike counts lie outside the binomial interval of level 1 - FALSE_ALARM."""
    n, tail = spikes.shape[0], FALSE_ALARM / rates.numel() / 2
    p = rates.double().clamp(0, 1).numpy()
    counts = spikes.sum(0).numpy()
    return int(((counts < binom.ppf(tail, n, p)) | (counts > binom.isf(tail, n, p))).sum())


def test_population_spikes_at_the_tuned_rate():
    encoder = PopulationEncoder(n_neurons=10, n_steps=4000)
    x = torch.linspace(0, 1, 26).reshape(13, 2)
    assert counts_outside(encoder(x, seeded(3)), encoder.rates(x)) == 0


def test_rate_spikes_at_the_rate():
    x = torch.linspace(0, 1, 26).reshape(13, 2)
    assert counts_outside(BernoulliRateEncoder(4000, 0.6)(x, seeded(4)), 0.6 * x) == 0


def test_the_count_test_sees_a_rate_off_by_a_twentieth():
    x = torch.full((13, 2), 0.5)
    assert counts_outside(BernoulliRateEncoder(8000)(x, seeded(4)), x + 0.05) == 26


def test_spikes_are_independent_across_steps_and_neurons():
    """Lag-one and cross-neuron correlations of a fair coin: six standard errors, 2e-9 a comparison."""
    n = 20000
    s = BernoulliRateEncoder(n)(torch.full((2, 2), 0.5), seeded(5)).flatten(1) - 0.5
    lag = 4 * (s[1:].T @ s[:-1]) / (n - 1)
    same = 4 * (s.T @ s) / n
    assert lag.abs().max() < 6 / math.sqrt(n)
    assert (same - torch.eye(4)).abs().max() < 6 / math.sqrt(n)


def test_certain_rates_are_certain():
    x = torch.tensor([[0.0, 1.0]])
    spikes = BernoulliRateEncoder(5000)(x, seeded(0))
    assert spikes[..., 0].sum() == 0
    assert spikes[..., 1].sum() == 5000


@given(
    x=st.lists(st.floats(0, 1), min_size=1, max_size=3),
    n_neurons=st.integers(2, 12),
    width=st.floats(0.2, 6),
)
@settings(deadline=None, max_examples=60)
def test_population_rates_are_the_formula(x, n_neurons, width):
    rates = PopulationEncoder(n_neurons, width).rates(torch.tensor([x], dtype=torch.float64))[0]
    for f, value in enumerate(x):
        for k in range(n_neurons):
            angle = math.pi * (value - k / (n_neurons - 1)) * (n_neurons - 1) / width
            expected = 0.5 + 0.5 * math.cos(min(max(angle, -math.pi), math.pi))
            assert rates[f * n_neurons + k].item() == pytest.approx(expected, abs=1e-9)


@given(x=st.floats(0, 1), n_neurons=st.integers(2, 20))
@settings(deadline=None, max_examples=40)
def test_population_of_width_one_spikes_once_a_step_on_average(x, n_neurons):
    rates = PopulationEncoder(n_neurons).rates(torch.tensor([[x]], dtype=torch.float64))
    assert rates.sum().item() == pytest.approx(1.0, abs=1e-9)


def test_population_without_noise_gives_the_rates_without_a_copy():
    encoder = PopulationEncoder(3, n_steps=4, stochastic=False)
    x = torch.tensor([[0.3, 0.9]])
    out = encoder(x)
    assert out.stride(0) == 0
    assert torch.equal(out[2], encoder.rates(x))


@given(
    x=st.lists(st.floats(0, 1), min_size=1, max_size=6),
    n_steps=st.integers(1, 30),
    threshold=st.floats(0, 0.9),
)
@settings(deadline=None, max_examples=80)
def test_latency_is_the_formula(x, n_steps, threshold):
    out = LatencyEncoder(n_steps, threshold)(torch.tensor([x], dtype=torch.float64))
    for f, value in enumerate(x):
        expected = torch.zeros(n_steps, dtype=torch.float64)
        if value > threshold:
            expected[round((n_steps - 1) * (1 - value) / (1 - threshold))] = 1
        assert torch.equal(out[:, 0, f], expected)


def test_latency_larger_is_earlier_and_spans_all_steps():
    x = torch.linspace(1, 0.011, 200)[None]
    times = LatencyEncoder(50)(x)[:, 0].argmax(0)
    assert times[0] == 0
    assert times[-1] == 49
    assert (times.diff() >= 0).all()


def test_direct_is_a_view_with_stride_zero_in_time():
    x = torch.rand(4, 3, generator=seeded(0))
    out = DirectEncoder(1000)(x)
    assert out.stride(0) == 0
    assert out.data_ptr() == x.data_ptr()
    assert torch.equal(out[999], x)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bool, torch.int64])
def test_ready_spikes_of_a_file_become_float(dtype):
    x = (torch.rand(3, 7, 2, generator=seeded(0)) < 0.5).to(dtype)
    out = SpikesEncoder(7)(x)
    assert out.dtype == torch.float32
    assert torch.equal(out[5, 2], x[2, 5].float())


def test_half_precision_rates_are_drawn_in_single_precision():
    x = torch.full((1, 4), 0.001, dtype=torch.bfloat16)
    spikes = BernoulliRateEncoder(20000)(x, seeded(1))
    assert spikes.dtype == torch.bfloat16
    assert counts_outside(spikes.float(), x) == 0


def test_population_clips_beyond_the_unit_interval():
    rates = PopulationEncoder(5).rates(torch.tensor([[-3.0, 4.0]]))
    assert rates.abs().max() < 1e-6


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PopulationEncoder(n_neurons=1), "n_neurons is 1; expected a whole number of at least 2"),
        (lambda: PopulationEncoder(width=0), "width is 0"),
        (lambda: PopulationEncoder(width=math.nan), "width is nan"),
        (lambda: PopulationEncoder(n_steps=0), "n_steps is 0"),
        (lambda: BernoulliRateEncoder(n_steps=2.5), "n_steps is 2.5"),
        (lambda: BernoulliRateEncoder(max_rate=1.5), r"max_rate is 1.5; expected a number in \[0, 1\]"),
        (lambda: LatencyEncoder(threshold=1.0), "below 1"),
        (lambda: DirectEncoder(True), "n_steps is True"),
        (lambda: DirectEncoder(3)(torch.zeros(4)), r"shape \(4,\).*\[B, F\]"),
        (lambda: DirectEncoder(3)(torch.zeros(4, 2, dtype=torch.int64)), "floating point"),
        (lambda: SpikesEncoder(3)(torch.zeros(4, 2, 5)), r"shape \(4, 2, 5\).*T = 3"),
        (lambda: BernoulliRateEncoder(3)(torch.zeros(4, 2)), "torch.Generator"),
    ],
)
def test_wrong_settings_and_inputs_are_named(make, message):
    with pytest.raises(DataError, match=message):
        make()
