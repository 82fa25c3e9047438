"""The registered KL: value, both gradients, shapes, and the pairs that a guide can form."""

import itertools

import pytest
import torch
from torch.distributions import kl_divergence

import bisnn_pyro.distributions.sign_bernoulli as kl_module
from bisnn_pyro.distributions import HardRelaxedSignBernoulli, RelaxedSignBernoulli, SignBernoulli, SignKL
from bisnn_pyro.distributions.hyperbolic import sign_kl, tanh_difference
from tests.distributions import reference

DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
POSTERIORS = pytest.mark.parametrize(
    "posterior",
    [
        SignBernoulli,
        lambda natural: RelaxedSignBernoulli(0.5, natural),
        lambda natural: HardRelaxedSignBernoulli(0.5, natural),
    ],
    ids=["hard", "relaxed", "hard-forward"],
)


@DTYPES
@POSTERIORS
def test_value_and_gradients_to_the_rounding(dtype, posterior):
    # Up to |natural| = 40 in float32 and 300 in float64.  Value: 40 ulp (just past the series, the
    # direct form still loses 5 bits); gradients: 8 ulp.
    natural, prior = (x.clone().requires_grad_() for x in reference.pairs(dtype))
    kl = kl_divergence(posterior(natural), SignBernoulli(prior))
    gradients = torch.autograd.grad(kl.sum(), (natural, prior))
    points = list(zip(natural.tolist(), prior.tolist(), strict=True))
    if posterior is SignBernoulli:
        assert reference.ulps(kl, [reference.kl(*x) for x in points]) <= 40
        exact = [reference.kl_gradient(*x) for x in points]
        for k, gradient in enumerate(gradients):
            assert reference.ulps(gradient, [x[k] for x in exact]) <= 8
    same = SignKL.apply(natural, prior)
    assert torch.equal(kl, same)
    for one, other in zip(gradients, torch.autograd.grad(same.sum(), (natural, prior)), strict=True):
        assert torch.equal(one, other)


@DTYPES
def test_never_negative_and_zero_at_the_prior(dtype):
    torch.manual_seed(0)
    natural = torch.linspace(-1, 1, 2001, dtype=dtype) * reference.LIMIT[dtype]
    near = natural * (1 + torch.randn(2001, dtype=dtype) * 1e-3)
    assert bool((SignKL.apply(natural, near) >= 0).all())
    assert torch.equal(SignKL.apply(natural, natural), torch.zeros_like(natural))


def test_symmetric_under_a_change_of_both_signs():
    natural, prior = reference.pairs(torch.float64)
    one, other = SignKL.apply(natural, prior), SignKL.apply(-natural, -prior)
    torch.testing.assert_close(one, other, rtol=1e-14, atol=0)


def test_gradient_formulas_belong_to_the_value():
    natural, prior = (x.clone().requires_grad_() for x in torch.randn(2, 20, dtype=torch.float64))
    assert torch.autograd.gradcheck(SignKL.apply, (natural, prior))
    row = prior[:1].detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(SignKL.apply, (natural.detach().reshape(4, 5).requires_grad_(), row))


@DTYPES
def test_tanh_difference(dtype):
    x, y = reference.pairs(dtype)
    exact = [reference.kl_gradient(b, a)[1] for a, b in zip(x.tolist(), y.tolist(), strict=True)]
    assert reference.ulps(tanh_difference(x, y), exact) <= 8


@POSTERIORS
def test_shape_is_the_batch_shape(posterior):
    q, p = posterior(torch.randn(2, 1, 3)), SignBernoulli(torch.randn(4, 1))
    assert kl_divergence(q, p).shape == (2, 4, 3)
    assert kl_divergence(q.expand((5, 2, 4, 3)), p).shape == (5, 2, 4, 3)
    assert kl_divergence(posterior(torch.tensor(1.0)), SignBernoulli(0.0)).shape == ()
    assert kl_divergence(posterior(torch.zeros(0, 3)), SignBernoulli(0.0)).shape == (0, 3)


@POSTERIORS
@pytest.mark.parametrize("prior_expanded", [False, True])
def test_exact_through_independent_and_expand(posterior, prior_expanded):
    natural = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    prior = SignBernoulli(torch.tensor(0.4, dtype=torch.float64)).expand((3, 4)).to_event(2)
    if prior_expanded:
        prior = prior.expand((6, 1))
    # As under a particle plate of 6 and a data plate: stride 0 in both.
    q = posterior(natural).to_event(2).expand((6, 1))
    kl = kl_divergence(q, prior)
    once = SignKL.apply(natural, torch.tensor(0.4, dtype=torch.float64)).sum()
    assert kl.shape == (6, 1)
    torch.testing.assert_close(kl, once.expand(6, 1), rtol=1e-14, atol=0)
    (gradient,) = torch.autograd.grad(kl.sum(), natural)
    (expected,) = torch.autograd.grad(6 * once, natural)
    torch.testing.assert_close(gradient, expected, rtol=1e-14, atol=0)


def test_repeated_numbers_are_computed_once(monkeypatch):
    # A fair prior over a layer is one number; under plates the posterior repeats too.
    seen = []

    def spy(natural, prior):
        seen.append((natural.shape, prior.shape))
        return sign_kl(natural, prior)

    monkeypatch.setattr(kl_module, "sign_kl", spy)
    q = SignBernoulli(torch.randn(3, 4)).expand((6, 5, 3, 4))
    kl_divergence(q, SignBernoulli(torch.tensor(0.2)).expand((6, 5, 3, 4)))
    assert seen == [((3, 4), ())]


def test_gradient_reaches_a_shared_prior_once_per_use():
    prior = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    natural = torch.randn(3, 4, dtype=torch.float64)
    kl = kl_divergence(SignBernoulli(natural), SignBernoulli(prior).expand((3, 4))).sum()
    (gradient,) = torch.autograd.grad(kl, prior)
    torch.testing.assert_close(gradient, (torch.tanh(prior) - torch.tanh(natural)).sum())


def test_sum_over_two_values_by_enumeration():
    natural, prior = torch.randn(2, 50, dtype=torch.float64)
    q, p = SignBernoulli(natural), SignBernoulli(prior)
    w = q.enumerate_support()
    expected = (q.log_prob(w).exp() * (q.log_prob(w) - p.log_prob(w))).sum(0)
    torch.testing.assert_close(kl_divergence(q, p), expected)


def test_torch_loses_the_tail_that_this_keeps():
    # Why there is an implementation of our own: torch's Bernoulli KL in float32.
    natural = torch.tensor(10.0)
    theirs = kl_divergence(
        torch.distributions.Bernoulli(logits=2 * natural),
        torch.distributions.Bernoulli(logits=2 * natural - 0.01),
    )
    exact = float(reference.kl(10.0, float(natural - 0.005)))
    ours = float(kl_divergence(SignBernoulli(natural), SignBernoulli(natural - 0.005)))
    assert ours == pytest.approx(exact, rel=1e-3)
    assert abs(float(theirs) - exact) > exact


def test_registered_only_for_our_own_pairs():
    theirs = torch.distributions.Bernoulli(0.5), torch.distributions.Normal(0.0, 1.0)
    for other, ours in itertools.product(theirs, (SignBernoulli(0.0), RelaxedSignBernoulli(0.5, 0.0))):
        for pair in ((other, ours), (ours, other)):
            with pytest.raises(NotImplementedError):
                kl_divergence(*pair)
