"""Functions of the standard normal against scipy in double precision, far into the tails."""

import numpy as np
import pytest
import scipy.special as sp
import torch

from bisnn_pyro.distributions.normal import density, inverse_mills, log_odds

Z = np.concatenate([-np.geomspace(1e-3, 1e3, 60), [0.0], np.geomspace(1e-3, 1e3, 60)])
TYPES = pytest.mark.parametrize(("dtype", "rtol"), [(torch.float32, 5e-6), (torch.float64, 1e-13)])


def mills(z):
    """phi(z) / Phi(z) by scipy's erfcx."""
    with np.errstate(over="ignore"):
        return np.sqrt(2 / np.pi) / sp.erfcx(-z / np.sqrt(2))


def tensor(z, dtype):
    x = torch.tensor(z, dtype=dtype)
    return x, x.double().numpy()


@TYPES
def test_inverse_mills_in_both_tails(dtype, rtol):
    z, exact = tensor(Z, dtype)
    value = inverse_mills(z).double().numpy()
    # On the far right it falls below the type's normal numbers.
    floor = 100 * torch.finfo(dtype).tiny
    np.testing.assert_allclose(value, mills(exact), rtol=100 * rtol, atol=floor)
    left = exact <= 0
    np.testing.assert_allclose(value[left], mills(exact)[left], rtol=rtol)


def test_inverse_mills_is_the_derivative_of_the_log_distribution():
    z = torch.linspace(-30, 5, 41, dtype=torch.float64)
    h = 1e-5
    slope = (torch.special.log_ndtr(z + h) - torch.special.log_ndtr(z - h)) / (2 * h)
    torch.testing.assert_close(inverse_mills(z), slope, rtol=1e-6, atol=1e-9)


@TYPES
def test_density(dtype, rtol):
    z, exact = tensor(Z[np.abs(Z) < 9], dtype)
    np.testing.assert_allclose(
        density(z).numpy(), np.exp(-(exact**2) / 2) / np.sqrt(2 * np.pi), rtol=40 * rtol
    )
    assert torch.equal(density(torch.tensor([-1e3, 1e3], dtype=dtype)), torch.zeros(2, dtype=dtype))


@TYPES
def test_log_odds_and_its_derivative(dtype, rtol):
    z, exact = tensor(Z, dtype)
    z.requires_grad_()
    value = log_odds(z)
    expected = sp.log_ndtr(exact) - sp.log_ndtr(-exact)
    np.testing.assert_allclose(value.detach().numpy(), expected, rtol=10 * rtol, atol=rtol)
    value.sum().backward()
    np.testing.assert_allclose(z.grad.numpy(), mills(exact) + mills(-exact), rtol=10 * rtol)


def test_log_odds_are_odd_and_increasing():
    z = torch.linspace(-50, 50, 401, dtype=torch.float64)
    torch.testing.assert_close(log_odds(z), -log_odds(-z), rtol=0, atol=0)
    assert bool((log_odds(z).diff() > 0).all())
