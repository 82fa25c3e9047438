"""The compiled float32 functions against mpmath, torch and the formulas that other tensors take."""

import mpmath
import pytest
import torch
from hypothesis import given, settings, strategies as st

from bisnn_pyro.compute import runs_compiled, use_backend
from bisnn_pyro.distributions import float32, hyperbolic

ULP = 2.0**-23
naturals = st.floats(-43, 43, width=32)
EDGES = [0.0, -0.0, 1e-30, -1e-20, 1e-4, 0.3, 0.5999, 0.6001, 0.625, 1.0, 9.0, 20.0, 40.0, -40.0]


def relative(ours, exact):
    """Largest relative error in units of the last place, over entries that are not zero."""
    worst = 0.0
    for a, b in zip(ours.tolist(), exact, strict=True):
        if b == 0:
            assert a == 0
        else:
            worst = max(worst, float(abs((mpmath.mpf(a) - b) / b)) / ULP)
    return worst


def tensor(values):
    return torch.tensor(values, dtype=torch.float32)


@given(st.lists(naturals, min_size=1, max_size=40))
@settings(deadline=None, max_examples=50)
def test_against_many_digits(values):
    x = tensor([*values, *EDGES])
    with mpmath.workdps(60):
        exact = [mpmath.mpf(v) for v in x.tolist()]
        assert relative(float32.tanh(x), [mpmath.tanh(v) for v in exact]) < 3
        assert relative(float32.sech2(x), [1 / mpmath.cosh(v) ** 2 for v in exact]) < 6
        y = torch.linspace(1, 3, len(x)) * (-1) ** torch.arange(len(x))  # products are normal numbers
        products = [mpmath.mpf(a) / mpmath.cosh(v) ** 2 for a, v in zip(y.tolist(), exact, strict=True)]
        assert relative(float32.times_sech2(y, x), products) < 6
        large = [v for v in exact if abs(v) > 1e-15]  # below, the KL itself is no normal number
        kl = [v * mpmath.tanh(v) - mpmath.log(mpmath.cosh(v)) for v in large]
        assert relative(float32.fair_kl(tensor([float(v) for v in large])), kl) < 8


@given(st.lists(st.floats(0, 1 - 2**-24, width=32), min_size=1, max_size=40))
@settings(deadline=None, max_examples=50)
def test_half_logit_is_torchs(values):
    u, eps = tensor(values), torch.finfo(torch.float32).eps / 4
    exact = 0.5 * torch.logit(u.double().clamp(eps, 1 - 2**-24))
    torch.testing.assert_close(float32.half_logit(u, eps).double(), exact, rtol=1e-5, atol=4e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tanh_into_a_given_tensor(dtype):
    x = torch.cat((torch.linspace(-30, 30, 2001), torch.logspace(-6, 1, 500))).to(dtype)
    out = torch.empty_like(x)
    assert hyperbolic.tanh(x, out=out) is out
    assert torch.equal(out, hyperbolic.tanh(x))
    torch.testing.assert_close(out, torch.tanh(x), rtol=4 * torch.finfo(dtype).eps, atol=0)


def test_beyond_the_range_of_the_type():
    x = tensor([44.0, -60.0, 1e30, float("inf")])
    assert float32.sech2(x).tolist() == [0.0] * 4
    assert float32.tanh(x).tolist() == [1.0, -1.0, 1.0, 1.0]
    for function in (float32.sech2, float32.tanh, float32.fair_kl):
        assert bool(function(tensor([float("nan")])).isnan())


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 5), (2, 1, 4)])
def test_shapes_and_strides(shape):
    x = torch.randn(shape)
    assert float32.tanh(x).shape == shape
    turned = torch.randn(5, 3).T
    torch.testing.assert_close(float32.sech2(turned), float32.sech2(turned.contiguous()))
    kept = turned.clone()
    float32.times_sech2(turned, turned)
    assert torch.equal(turned, kept)


@pytest.mark.parametrize("name", ["sech2", "tanh", "half_logit", "times_sech2", "sign_kl"])
def test_the_backend_chooses_and_both_agree(name, monkeypatch):
    torch.manual_seed(0)
    x = torch.rand(200) if name == "half_logit" else 5 * torch.randn(200)
    arguments = {
        "half_logit": (x, 1e-8),
        "times_sech2": (torch.randn(200), x),
        "sign_kl": (x, torch.zeros(())),
    }.get(name, (x,))
    function = getattr(hyperbolic, name)
    ours = function(*arguments)
    with use_backend("torch"):
        assert not runs_compiled(x)
        monkeypatch.setattr(float32, "_run", lambda *a: pytest.fail("compiled under the torch backend"))
        torch.testing.assert_close(function(*arguments), ours, rtol=3e-6, atol=1e-7)
    assert runs_compiled(x)
    assert not runs_compiled(x.double())
    function(*(a.double() if isinstance(a, torch.Tensor) else a for a in arguments))  # not compiled either


def test_defaults_of_torch_do_not_matter():
    x = torch.randn(5)
    torch.set_default_dtype(torch.float64)
    try:
        assert hyperbolic.tanh(x).dtype == hyperbolic.sech2(x).dtype == torch.float32
    finally:
        torch.set_default_dtype(torch.float32)
