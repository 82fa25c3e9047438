"""The relaxed draw: value, gradients with a backward of its own, density, distribution."""

import mpmath
import pytest
import torch
from hypothesis import given, settings, strategies as st
from scipy import integrate, stats

from bisnn_pyro.distributions import HardRelaxedSignBernoulli, RelaxedSignBernoulli, SignBernoulli
from bisnn_pyro.distributions.sign_bernoulli import RelaxedSign, half_logistic_noise
from tests.distributions import reference

DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
BOTH = pytest.mark.parametrize("family", [RelaxedSignBernoulli, HardRelaxedSignBernoulli])

F64 = torch.float64


def tensors(natural, noise, temperature):
    return (torch.tensor(x, dtype=F64, requires_grad=True) for x in (natural, noise, temperature))


@given(st.floats(-5, 5), st.floats(-3, 3), st.floats(0.2, 4))
@settings(deadline=None, max_examples=60)
def test_value_and_gradients_by_finite_differences(natural, noise, temperature):
    def draw(n, t):
        return float(mpmath.tanh((mpmath.mpf(n) + mpmath.mpf(noise)) / mpmath.mpf(t)))

    n, d, t = tensors(natural, noise, temperature)
    w = RelaxedSign.apply(n, d, t, False)
    assert float(w.detach()) == pytest.approx(draw(natural, temperature), abs=1e-14)
    in_natural, in_temperature = torch.autograd.grad(w, (n, t))
    h = 1e-6
    slope = (draw(natural + h, temperature) - draw(natural - h, temperature)) / (2 * h)
    assert float(in_natural) == pytest.approx(slope, rel=1e-6, abs=1e-8)
    slope = (draw(natural, temperature + h) - draw(natural, temperature - h)) / (2 * h)
    assert float(in_temperature) == pytest.approx(slope, rel=1e-6, abs=1e-8)


def test_gradcheck_with_broadcasting():
    torch.manual_seed(0)
    natural = torch.randn(3, 1, dtype=F64, requires_grad=True)
    temperature = torch.tensor(0.7, dtype=F64, requires_grad=True)
    noise = torch.randn(2, 3, 4, dtype=F64)
    assert torch.autograd.gradcheck(
        lambda n, t: RelaxedSign.apply(n, noise, t, False), (natural, temperature)
    )


@DTYPES
@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_gradient_in_the_tails(dtype, hard, temperature):
    # sech^2 z has a condition number of 2|z|, and z comes of two roundings: 8 + 4|z| ulp.  The largest |z|
    # is what the type can hold, 40 or 300; the smallest noise would do the same as a smaller natural.
    natural = (reference.naturals(dtype) * temperature).requires_grad_()
    noise = torch.full_like(natural, 0.375)
    noise = torch.where(natural.detach() > 0, -noise, noise)
    tau = torch.tensor(temperature, dtype=dtype, requires_grad=True)
    w = RelaxedSign.apply(natural, noise, tau, hard)
    (gradient,) = torch.autograd.grad(w.sum(), natural, retain_graph=True)
    for k, (n, d) in enumerate(zip(natural.tolist(), noise.tolist(), strict=True)):
        z = (mpmath.mpf(n) + mpmath.mpf(d)) / mpmath.mpf(float(temperature))
        bound = 8 + 4 * abs(float(z))
        assert reference.ulps(gradient[k], [reference.sech2(z) / mpmath.mpf(temperature)]) <= bound
        expected = (-1.0 if z < 0 else 1.0) if hard else mpmath.tanh(z)
        assert reference.ulps(w[k], [mpmath.mpf(expected)]) <= 4
        (in_tau,) = torch.autograd.grad(w[k], tau, retain_graph=True)
        assert reference.ulps(in_tau, [-reference.sech2(z) * z / mpmath.mpf(temperature)]) <= bound


def test_gradient_is_alive_where_that_of_tanh_is_dead():
    natural = torch.tensor(12.0, requires_grad=True)
    zero, one = torch.tensor(0.0), torch.tensor(1.0)
    (theirs,) = torch.autograd.grad(torch.tanh(natural), natural)
    (ours,) = torch.autograd.grad(RelaxedSign.apply(natural, zero, one, False), natural)
    assert float(theirs) == 0.0
    assert float(ours) == pytest.approx(float(reference.sech2(12.0)), rel=1e-5)


def test_hard_variant_is_the_sign_with_the_same_gradient():
    torch.manual_seed(0)
    natural = torch.randn(50, dtype=F64, requires_grad=True)
    temperature = torch.tensor(0.6, dtype=F64, requires_grad=True)
    results = []
    for family in (RelaxedSignBernoulli, HardRelaxedSignBernoulli):
        torch.manual_seed(1)
        w = family(temperature, natural).rsample((7,))
        results.append(
            (w.detach(), *torch.autograd.grad((w * torch.arange(50)).sum(), (natural, temperature)))
        )
    soft, hard = results
    assert bool((soft[0].abs() < 1).all())
    assert torch.equal(hard[0], torch.where(soft[0] < 0, -1.0, 1.0).to(F64))
    assert torch.equal(soft[1], hard[1])
    assert torch.equal(soft[2], hard[2])


def test_hard_variant_counts_zero_as_plus():
    assert float(RelaxedSign.apply(torch.tensor(-0.0), torch.tensor(0.0), torch.tensor(1.0), True)) == 1.0


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("natural", [-2.0, 0.0, 0.7, 3.0])
def test_density_integrates_to_one(temperature, natural):
    q = RelaxedSignBernoulli(torch.tensor(temperature, dtype=F64), torch.tensor(natural, dtype=F64))

    # In z = atanh(w), where the density is smooth whatever the temperature: dw = sech^2(z) dz.
    def integrand(z):
        w = torch.tanh(torch.tensor(z, dtype=F64))
        return float(q.log_prob(w).exp() * (1 - w * w))

    # Up to |z| = 12 the rounding of w costs 1e-6; the mass beyond is known.
    total, _ = integrate.quad(integrand, -12, 12, points=[natural / temperature], epsabs=1e-5, limit=200)
    low, high = (stats.logistic.cdf(2 * (temperature * z - natural)) for z in (-12, 12))
    assert total == pytest.approx(high - low, abs=1e-5)


@given(st.floats(-3, 3), st.floats(0.2, 3), st.floats(-0.99, 0.99))
@settings(deadline=None, max_examples=50)
def test_log_prob_is_the_derivative_of_the_distribution_function(natural, temperature, w):
    def cdf(x):
        # w <= x exactly if delta <= tau atanh(x) - natural, and 2 delta is standard logistic.
        return 1 / (1 + mpmath.exp(-2 * (mpmath.mpf(temperature) * mpmath.atanh(x) - mpmath.mpf(natural))))

    q = RelaxedSignBernoulli(torch.tensor(temperature, dtype=F64), torch.tensor(natural, dtype=F64))
    expected = mpmath.log(mpmath.diff(cdf, mpmath.mpf(w)))
    assert float(q.log_prob(torch.tensor(w, dtype=F64))) == pytest.approx(float(expected), abs=1e-9)


@DTYPES
@pytest.mark.parametrize("natural", [-1.0, 0.0, 2.0])
@pytest.mark.parametrize("temperature", [0.5, 1.5])
def test_draws_follow_the_distribution_function(dtype, natural, temperature):
    # Kolmogorov-Smirnov on 4000 draws, seed 0, p < 1e-5 fails: false alarm 1e-5 for each of 12 cases.
    torch.manual_seed(0)
    draws = RelaxedSignBernoulli(
        torch.tensor(temperature, dtype=dtype), torch.tensor(natural, dtype=dtype)
    ).rsample((4000,))
    assert bool((draws.abs() <= 1).all())
    z = torch.atanh(draws.double().clamp(-1 + 1e-12, 1 - 1e-12))
    assert stats.kstest((2 * (temperature * z - natural)).numpy(), "logistic").pvalue > 1e-5


@DTYPES
def test_noise_is_finite_and_half_logistic(dtype):
    torch.manual_seed(0)
    noise = half_logistic_noise((200_000,), torch.zeros((), dtype=dtype))
    assert bool(noise.isfinite().all())
    # Kolmogorov-Smirnov, seed 0: false alarm 1e-5.
    assert stats.kstest(2 * noise.numpy().astype(float), "logistic").pvalue > 1e-5


@DTYPES
@pytest.mark.parametrize("u", [0.0, "largest"])
def test_noise_is_finite_at_the_ends_of_the_uniform(dtype, u, monkeypatch):
    # torch.rand yields 0 and 1 - eps/2 with probability 2^-24 in float32: too rare to wait for.
    u = 1 - torch.finfo(dtype).eps / 2 if u == "largest" else u
    monkeypatch.setattr(torch, "rand", lambda shape, **kw: torch.full(shape, u, **kw))
    noise = half_logistic_noise((3,), torch.zeros((), dtype=dtype))
    assert bool(noise.isfinite().all())
    assert bool((noise > 8).all() if u else (noise < -8).all())


@BOTH
def test_sign_of_the_draw_has_the_discrete_law(family):
    # 5 shares within 5 standard errors, seed 0: false alarm 3e-6.
    torch.manual_seed(0)
    natural = torch.tensor([-2.0, -0.4, 0.0, 0.5, 1.0])
    p = SignBernoulli(natural).probs
    share = (family(0.8, natural).rsample((20000,)) > 0).float().mean(0)
    assert bool(((share - p).abs() < 5 * (p * (1 - p) / 20000).sqrt()).all())


@BOTH
def test_low_temperature_gives_hard_draws(family):
    draws = family(1e-6, torch.zeros(1000)).rsample()
    assert float((draws.abs() == 1).float().mean()) > 0.99


@BOTH
def test_expand_keeps_type_temperature_and_graph(family):
    natural = torch.randn(3, 4, requires_grad=True)
    temperature = torch.tensor(0.4, requires_grad=True)
    q = family(temperature, natural, validate_args=True).expand((5, 3, 4))
    assert type(q) is family
    assert type(q.to_event(2).expand((2, 5)).base_dist) is family
    assert q.temperature is temperature
    assert q.natural.data_ptr() == natural.data_ptr()
    draws = q.rsample()
    assert draws.shape == (5, 3, 4)
    assert len({row.sum().item() for row in (draws.detach() * torch.randn(3, 4))}) == 5
    draws.sum().backward()
    assert natural.grad.shape == (3, 4)
    assert temperature.grad.shape == ()


@BOTH
def test_moments_are_those_of_the_discrete_variable(family):
    natural = torch.linspace(-20, 20, 9)
    q, discrete = family(0.5, natural), SignBernoulli(natural)
    assert torch.equal(q.mean, discrete.mean)
    assert torch.equal(q.variance, discrete.variance)


@BOTH
@pytest.mark.parametrize("temperature", [1, 0.5, torch.tensor(0.5), torch.tensor(0.5, dtype=F64)])
def test_temperature_may_be_a_number(family, temperature):
    q = family(temperature, torch.zeros(2), validate_args=True)
    assert q.temperature.dtype == torch.float32
    assert q.has_rsample
    assert q.rsample().dtype == torch.float32


@BOTH
@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_bad_temperature_is_refused(family, temperature):
    with pytest.raises(ValueError, match="temperature"):
        family(temperature, torch.zeros(2), validate_args=True)


@BOTH
def test_temperature_must_be_a_scalar(family):
    with pytest.raises(ValueError, match="scalar"):
        family(torch.ones(2), torch.zeros(2))


@DTYPES
def test_log_prob_is_finite_for_saturated_draws(dtype):
    limit = reference.LIMIT[dtype]
    natural = torch.tensor([-limit, limit], dtype=dtype, requires_grad=True)
    q = RelaxedSignBernoulli(0.5, natural, validate_args=True)
    w = q.rsample()
    assert bool((w.abs() == 1).all())
    log_prob = q.log_prob(w)
    assert bool(log_prob.isfinite().all())
    assert all(bool(g.isfinite().all()) for g in torch.autograd.grad(log_prob.sum(), natural))
