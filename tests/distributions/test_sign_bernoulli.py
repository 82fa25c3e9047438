"""SignBernoulli against torch's Bernoulli and against high-precision formulas."""

import math

import mpmath
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch.distributions import Bernoulli, Independent

from bisnn_pyro.distributions import SignBernoulli, log_two_cosh, sech2
from tests.distributions import reference

DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)


@given(st.lists(st.floats(-15, 15), min_size=1, max_size=6))
@settings(deadline=None, max_examples=50)
def test_log_prob_is_that_of_torch_bernoulli(naturals):
    natural = torch.tensor(naturals, dtype=torch.float64)
    ours, theirs = SignBernoulli(natural), Bernoulli(logits=2 * natural)
    for w in (-1.0, 1.0):
        value = torch.full_like(natural, w)
        torch.testing.assert_close(ours.log_prob(value), theirs.log_prob((value + 1) / 2))
    torch.testing.assert_close(ours.probs, theirs.probs)
    torch.testing.assert_close(ours.logits, theirs.logits)
    torch.testing.assert_close(ours.mean, 2 * theirs.mean - 1)
    torch.testing.assert_close(ours.variance, 4 * theirs.variance)
    torch.testing.assert_close(ours.entropy(), theirs.entropy())


@DTYPES
@pytest.mark.parametrize("w", [-1, 1])
def test_log_prob_value_and_gradient_in_the_tails(dtype, w):
    # 4 ulp: logsigmoid and sigmoid, one rounding each.
    natural = reference.naturals(dtype).requires_grad_()
    log_prob = SignBernoulli(natural).log_prob(torch.full_like(natural, w))
    (gradient,) = torch.autograd.grad(log_prob.sum(), natural)
    points = natural.tolist()
    assert reference.ulps(log_prob, [mpmath.log(reference.probability(x, w)) for x in points]) <= 4
    assert reference.ulps(gradient, [2 * w * reference.probability(x, -w) for x in points]) <= 4


@DTYPES
def test_log_prob_is_linear_between_the_ends(dtype):
    natural = torch.linspace(-5, 5, 11, dtype=dtype)
    q = SignBernoulli(natural)
    low, high = (q.log_prob(torch.full_like(natural, w)) for w in (-1.0, 1.0))
    for w in (-0.5, 0.0, 0.9):
        expected = (1 - w) / 2 * low + (1 + w) / 2 * high
        torch.testing.assert_close(q.log_prob(torch.full_like(natural, w)), expected)


@DTYPES
def test_moments_and_entropy_in_the_tails(dtype):
    natural = reference.naturals(dtype)
    q, points = SignBernoulli(natural), natural.tolist()
    assert reference.ulps(q.mean, [mpmath.tanh(mpmath.mpf(x)) for x in points]) <= 3
    assert reference.ulps(q.variance, [reference.sech2(x) for x in points]) <= 5
    assert reference.ulps(sech2(natural), [reference.sech2(x) for x in points]) <= 5
    assert reference.ulps(q.probs, [reference.probability(x) for x in points]) <= 3
    assert reference.ulps(q.entropy(), [reference.entropy(x) for x in points]) <= 5
    normalizers = [mpmath.log(2 * mpmath.cosh(mpmath.mpf(x))) for x in points]
    assert reference.ulps(log_two_cosh(natural), normalizers) <= 3


@DTYPES
def test_gradients_of_moments_and_entropy_in_the_tails(dtype):
    # Autograd through tanh or sigmoid gives 0 from 9 on in float32.
    natural = reference.naturals(dtype).requires_grad_()
    natural.data[natural.data == 0] = 0.3  # where the entropy's own gradient is 0
    q, points = SignBernoulli(natural), natural.tolist()
    sech2s = [reference.sech2(x) for x in points]
    tanhs = [mpmath.tanh(mpmath.mpf(x)) for x in points]
    exact = {
        "mean": sech2s,
        "probs": [s / 2 for s in sech2s],
        "variance": [-2 * t * s for t, s in zip(tanhs, sech2s, strict=True)],
        "entropy": [-mpmath.mpf(x) * s for x, s in zip(points, sech2s, strict=True)],
    }
    for name, truth in exact.items():
        value = q.entropy() if name == "entropy" else getattr(q, name)
        (gradient,) = torch.autograd.grad(value.sum(), natural, retain_graph=True)
        assert reference.ulps(gradient, truth) <= 12, name


def test_log_normalizer_does_not_overflow():
    assert log_two_cosh(torch.tensor([-1e30, 1e30])).tolist() == pytest.approx([1e30, 1e30])


def test_fair_synapse():
    q = SignBernoulli(0.0)
    assert float(q.entropy()) == pytest.approx(math.log(2))
    assert (float(q.mean), float(q.variance), float(q.probs), float(q.mode)) == (0.0, 1.0, 0.5, 1.0)


def test_mode_is_the_sign_with_zero_counted_as_plus():
    assert SignBernoulli(torch.tensor([-3.0, -0.0, 0.0, 2.0])).mode.tolist() == [-1, 1, 1, 1]


@given(st.floats(0.001, 0.999))
@settings(deadline=None, max_examples=30)
def test_probs_argument(p):
    q = SignBernoulli(probs=torch.tensor(p, dtype=torch.float64))
    assert float(q.probs) == pytest.approx(p)
    assert float(q.natural) == pytest.approx(0.5 * float(mpmath.log(p / (1 - p))), abs=1e-12)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({}, "not both"),
        ({"natural": 0.0, "probs": 0.5}, "not both"),
        ({"probs": 0.0}, "strictly between 0 and 1"),
        ({"probs": 1.0}, "strictly between 0 and 1"),
        ({"probs": torch.tensor([0.5, 1.5])}, "strictly between 0 and 1"),
        ({"probs": float("nan")}, "strictly between 0 and 1"),
        ({"natural": torch.tensor([0.0, float("nan")]), "validate_args": True}, "natural"),
    ],
)
def test_bad_arguments_are_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        SignBernoulli(**kwargs)


@DTYPES
@pytest.mark.parametrize("batch_shape", [(), (3,), (2, 3)])
def test_enumerate_support_sums_to_one(dtype, batch_shape):
    q = SignBernoulli(
        torch.linspace(-4, 4, 6, dtype=dtype)[: max(1, 3 * len(batch_shape))].reshape(batch_shape or (1,))
    )
    if not batch_shape:
        q = SignBernoulli(torch.tensor(0.7, dtype=dtype))
    for expand in (True, False):
        values = q.enumerate_support(expand)
        assert values.shape == (2, *(batch_shape if expand else (1,) * len(batch_shape)))
        assert values.dtype == dtype
        assert set(values.flatten().tolist()) == {-1.0, 1.0}
        total = q.log_prob(values).exp().sum(0)
        torch.testing.assert_close(total, torch.ones(batch_shape, dtype=dtype))


def test_enumerated_moments_are_the_closed_forms():
    q = SignBernoulli(torch.linspace(-3, 3, 7, dtype=torch.float64))
    w = q.enumerate_support()
    p = q.log_prob(w).exp()
    torch.testing.assert_close((p * w).sum(0), q.mean)
    torch.testing.assert_close((p * (w - q.mean).square()).sum(0), q.variance)
    torch.testing.assert_close(-(p * q.log_prob(w)).sum(0), q.entropy())


def test_expand_keeps_the_type_and_copies_nothing():
    natural = torch.randn(3, 1, requires_grad=True)
    q = SignBernoulli(natural, validate_args=True).expand((5, 3, 4))
    assert type(q) is SignBernoulli
    assert type(q.to_event(2).base_dist) is SignBernoulli
    assert type(q.to_event(2).expand((2, 5)).base_dist) is SignBernoulli
    assert q.batch_shape == (5, 3, 4)
    assert q.natural.data_ptr() == natural.data_ptr()
    assert q._validate_args
    with pytest.raises(ValueError, match="support"):
        q.log_prob(torch.full((5, 3, 4), 2.0))


def test_support_is_discrete_and_takes_relaxed_values():
    q = SignBernoulli(torch.zeros(3), validate_args=True)
    assert q.support.is_discrete
    assert not q.has_rsample
    q.log_prob(torch.tensor([-1.0, 0.3, 1.0]))
    for bad in (1.0 + 1e-6, -1.5, float("nan")):
        with pytest.raises(ValueError, match="support"):
            q.log_prob(torch.tensor([0.0, bad, 0.0]))


@DTYPES
def test_draws_are_hard_and_independent_with_the_right_mean(dtype):
    torch.manual_seed(0)
    natural = torch.tensor([-2.0, -0.5, 0.0, 0.3, 1.5], dtype=dtype, requires_grad=True)
    n = 20000
    draws = SignBernoulli(natural).expand((4, 5)).sample((n,))
    assert draws.shape == (n, 4, 5)
    assert draws.dtype == dtype
    assert not draws.requires_grad
    assert bool((draws.abs() == 1).all())
    # 20 means within 5 standard errors each: false alarm about 1e-5 (fixed seed).
    true = natural.detach()
    error = (draws.mean(0) - torch.tanh(true)).abs() / (sech2(true) / n).sqrt()
    assert float(error.max()) < 5
    # The four expanded copies are drawn apart: 6 x 5 correlations within 5/sqrt(n), false alarm 2e-5.
    rows = draws.permute(2, 1, 0)
    for row in rows:
        correlation = torch.corrcoef(row) - torch.eye(4, dtype=dtype)
        assert float(correlation.abs().max()) < 5 / n**0.5


def test_sure_synapses_never_flip():
    draws = SignBernoulli(torch.tensor([-300.0, 300.0], dtype=torch.float64)).sample((1000,))
    assert torch.equal(draws, torch.tensor([-1.0, 1.0], dtype=torch.float64).expand(1000, 2))


def test_event_dims():
    natural = torch.randn(3, 4)
    q = SignBernoulli(natural).to_event(2)
    assert isinstance(q, Independent)
    assert q.batch_shape == ()
    assert q.event_shape == (3, 4)
    w = q.sample()
    torch.testing.assert_close(q.log_prob(w), SignBernoulli(natural).log_prob(w).sum())
