"""The clamped spike-train likelihood against a step-by-step GLM and by enumeration of all trains."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from scipy import stats

from bisnn_pyro.errors import ModelError
from bisnn_pyro.models import (
    CategoricalRate,
    ResetState,
    SpikeTrainBernoulli,
    SpikingGLM,
    ThresholdNeuron,
    Window,
)
from bisnn_pyro.models.likelihoods import SpikeTrainDistribution

F64 = torch.float64
C = math.exp(-1 / 2)


def glm_log_prob(current, train, decay, reset, delta, r=0.0, last=0.0):
    """Log-probability of one train ``[T, O]`` in numpy, one step and one neuron at a time."""
    total = 0.0
    for o in range(current.shape[1]):
        trace, before = np.broadcast_to(r, current.shape[1:])[o], np.broadcast_to(last, current.shape[1:])[o]
        for t in range(current.shape[0]):
            trace = decay * trace + before
            u = current[t, o] - reset * trace
            p = 1 / (1 + np.exp(-u / delta))
            before = train[t, o]
            total += np.log(p) if before else np.log1p(-p)
    return total


@given(
    draws=st.sampled_from([(), (1,), (3,)]),
    batch=st.integers(1, 3),
    n_steps=st.integers(1, 12),
    units=st.integers(1, 3),
    decay=st.floats(0, 0.99),
    reset=st.floats(0, 2),
    delta=st.floats(0.2, 3),
    started=st.booleans(),
    seed=st.integers(0, 1000),
)
@settings(deadline=None, max_examples=40)
def test_log_prob_is_the_step_by_step_glm(draws, batch, n_steps, units, decay, reset, delta, started, seed):
    rng = np.random.default_rng(seed)
    current = rng.normal(size=(*draws, batch, n_steps, units))
    trains = (rng.random((batch, n_steps, units)) < 0.4).astype(float)
    r, last = rng.random((batch, units)), (rng.random((batch, units)) < 0.5).astype(float)
    initial = ResetState(torch.tensor(r), torch.tensor(last)) if started else None
    site = SpikeTrainDistribution(torch.tensor(current), decay, reset, delta, initial)
    ours = site.log_prob(torch.tensor(trains))
    assert ours.shape == (*draws, batch)
    expected = np.empty((*draws, batch))
    for index in np.ndindex(*draws, batch):
        b = index[-1]
        start = (r[b], last[b]) if started else ()
        expected[index] = glm_log_prob(current[index], trains[b], decay, reset, delta, *start)
    np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-10, atol=1e-10)


def all_trains(n_steps, units):
    values = itertools.product([0.0, 1.0], repeat=n_steps * units)
    return torch.tensor(list(values), dtype=F64).reshape(-1, n_steps, units)


@pytest.mark.parametrize("started", [False, True])
def test_probabilities_of_all_trains_sum_to_one(started):
    torch.manual_seed(0)
    initial = ResetState(torch.rand(1, 2, dtype=F64), torch.ones(1, 2, dtype=F64)) if started else None
    site = SpikeTrainDistribution(torch.randn(1, 4, 2, dtype=F64), 0.7, 1.3, 0.6, initial)
    p = site.expand((256,)).log_prob(all_trains(4, 2)).exp()
    assert float(p.sum()) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("started", [False, True])
def test_free_running_samples_have_the_scored_law(started):
    # Chi-square over all 64 trains of 3 steps x 2 neurons, 20000 draws, seed 0, p < 1e-6 fails:
    # false alarm 1e-6 for each of 2 cases.
    torch.manual_seed(0)
    current = 0.5 * torch.randn(1, 3, 2, dtype=F64)
    initial = ResetState(torch.full((1, 2), 0.5, dtype=F64), torch.ones(1, 2, dtype=F64)) if started else None
    site = SpikeTrainDistribution(current, 0.6, 1.0, 0.8, initial)
    trains = all_trains(3, 2)
    p = site.expand((64,)).log_prob(trains).exp().numpy()
    draws = site.sample((20000,))
    assert draws.shape == (20000, 1, 3, 2)
    code = (draws.reshape(-1, 6) @ (2.0 ** torch.arange(5, -1, -1, dtype=F64))).long()
    counts = torch.bincount(code, minlength=64).numpy()
    assert stats.chisquare(counts, 20000 * p / p.sum()).pvalue > 1e-6


@pytest.mark.parametrize("dtype", [torch.float32, F64, torch.int64, torch.uint8, torch.bool], ids=str)
def test_trains_of_any_type_score_alike(dtype):
    torch.manual_seed(0)
    current = torch.randn(3, 2, 5, 2, dtype=F64)
    trains = (torch.rand(2, 5, 2) < 0.5).to(dtype)
    site = SpikeTrainDistribution(current, 0.6, 1.0, 1.0)
    torch.testing.assert_close(site.log_prob(trains), site.log_prob(trains.double()), rtol=1e-14, atol=0)
    likelihood = SpikeTrainBernoulli(2)
    window = Window(start=2, burn_in=0, fraction=0.6)
    ours = likelihood.log_prob(current[..., 2:, :], trains, window)
    torch.testing.assert_close(
        ours, likelihood.log_prob(current[..., 2:, :], trains.double(), window), rtol=1e-14, atol=0
    )


def test_expand_keeps_type_and_initial_state():
    initial = ResetState(torch.rand(2, 3), torch.ones(2, 3))
    site = SpikeTrainDistribution(torch.randn(2, 5, 3), 0.6, 1.0, 1.0, initial)
    wide = site.expand((4, 2))
    assert type(wide) is SpikeTrainDistribution
    assert wide.batch_shape == (4, 2)
    trains = (torch.rand(2, 5, 3) < 0.5).float()
    torch.testing.assert_close(wide.log_prob(trains), site.log_prob(trains).expand(4, 2))
    assert wide.sample().shape == (4, 2, 5, 3)
    with pytest.raises(ValueError, match="support"):
        SpikeTrainDistribution(torch.randn(2, 5, 3), 0.6, 1.0, 1.0, validate_args=True).log_prob(trains + 0.5)


def test_gradient_reaches_the_current():
    current = torch.randn(2, 4, 2, dtype=F64, requires_grad=True)
    trains = (torch.rand(2, 4, 2) < 0.5).double()
    assert torch.autograd.gradcheck(
        lambda x: SpikeTrainDistribution(x, 0.6, 1.0, 0.7).log_prob(trains), current
    )


@pytest.mark.parametrize("period", [1, 2, 3])
def test_label_trains(period):
    likelihood = SpikeTrainBernoulli(3, period=period)
    y = torch.tensor([2, 0])
    trains = likelihood.trains(y, 0, 7)
    expected = torch.zeros(2, 7, 3)
    expected[0, ::period, 2] = 1
    expected[1, ::period, 0] = 1
    assert torch.equal(trains, expected)
    assert torch.equal(likelihood.trains(y, 3, 4), expected[:, 3:])
    assert torch.equal(likelihood.trains(expected, 2, 3), expected[:, 2:5])


@pytest.mark.parametrize("burn_in", [0, 3])
def test_log_prob_of_labels_with_a_burn_in(burn_in):
    # The clamped past before the first counted step acts through the reset.
    rng = np.random.default_rng(0)
    full = rng.normal(size=(2, 9, 2))
    likelihood = SpikeTrainBernoulli(2, neuron=ThresholdNeuron(reset=1.2), delta=0.8, period=2)
    y = torch.tensor([1, 0])
    ours = likelihood.log_prob(torch.tensor(full[:, burn_in:]), y, Window(burn_in=burn_in))
    trains = likelihood.trains(y, 0, 9).numpy()
    for b in range(2):
        whole = glm_log_prob(full[b], trains[b], C, 1.2, 0.8)
        before = glm_log_prob(full[b, :burn_in], trains[b, :burn_in], C, 1.2, 0.8)
        assert float(ours[b]) == pytest.approx(whole - before)


@pytest.mark.parametrize("burn_in", [0, 2])
@pytest.mark.parametrize("size", [1, 3, 4])
@pytest.mark.parametrize("as_trains", [False, True])
def test_windows_add_up_to_the_whole(burn_in, size, as_trains):
    torch.manual_seed(0)
    likelihood = SpikeTrainBernoulli(2)
    y = (torch.rand(3, 10, 2) < 0.4).double() if as_trains else torch.tensor([0, 1, 1])
    readout = torch.randn(2, 3, 10 - burn_in, 2, dtype=F64)
    whole = likelihood.log_prob(readout, y, Window(burn_in=burn_in))
    parts = [
        likelihood.log_prob(
            part, y, Window(start=burn_in + k * size, fraction=part.shape[-2] / (10 - burn_in))
        )
        for k, part in enumerate(readout.split(size, dim=-2))
    ]
    torch.testing.assert_close(sum(parts), whole)


@pytest.mark.parametrize("burn_in", [0, 2])
def test_class_probabilities_are_bayes_rule(burn_in):
    rng = np.random.default_rng(1)
    full = 0.3 * rng.normal(size=(2, 2, 6, 3))
    likelihood = SpikeTrainBernoulli(3, delta=2.0)
    p = likelihood.predict(torch.tensor(full[..., burn_in:, :]), Window(burn_in=burn_in))
    assert p.shape == (2, 2, 3)
    trains = [likelihood.trains(torch.tensor([k]), 0, 6)[0].numpy() for k in range(3)]
    for index in np.ndindex(2, 2):
        evidence = np.array(
            [
                np.exp(
                    glm_log_prob(full[index], s, C, 1.0, 2.0)
                    - glm_log_prob(full[index][:burn_in], s[:burn_in], C, 1.0, 2.0)
                )
                for s in trains
            ]
        )
        np.testing.assert_allclose(p[index].numpy(), evidence / evidence.sum(), rtol=1e-10)


def test_needs_a_trained_readout():
    assert SpikeTrainBernoulli.needs_trained_readout
    assert not CategoricalRate.needs_trained_readout
    with pytest.raises(ModelError, match="readout = 'trained'"):
        SpikingGLM(3, (4,), SpikeTrainBernoulli(2))


@pytest.mark.parametrize("kwargs", [{"delta": 0.0}, {"delta": -1.0}, {"period": 0}])
def test_bad_arguments_are_refused(kwargs):
    with pytest.raises(ModelError, match="delta > 0 and period >= 1"):
        SpikeTrainBernoulli(2, **kwargs)


def test_reset_uses_the_refractory_constant():
    readout = torch.zeros(1, 3, 2, dtype=F64)
    train = torch.tensor([[[1.0, 0], [0, 0], [0, 0]]], dtype=F64)
    likelihood = SpikeTrainBernoulli(2, neuron=ThresholdNeuron(tau_refractory=5.0))
    u = likelihood.distribution(readout, None, Window()).potential(train)
    assert u[0, :, 0].tolist() == pytest.approx([0, -1, -math.exp(-1 / 5)])
    assert u[0, :, 1].tolist() == [0, 0, 0]
