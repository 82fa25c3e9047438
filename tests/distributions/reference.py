"""High-precision formulas of a binary synapse, written from the definitions alone."""

import itertools

import mpmath
import torch

# exp(-600) relative to 1 takes 261 digits, and a KL of two close parameters squares the rest away.
mpmath.mp.dps = 650

LIMIT = {torch.float32: 40.0, torch.float64: 300.0}
"""Largest natural parameter that must be handled to the type's rounding."""


def probability(natural, sign=1):
    return 1 / (1 + mpmath.exp(-2 * sign * mpmath.mpf(natural)))


def sech2(x):
    return 1 / mpmath.cosh(mpmath.mpf(x)) ** 2


def entropy(natural):
    return -sum(p * mpmath.log(p) for p in (probability(natural, s) for s in (-1, 1)))


def kl(natural, prior):
    """Return the KL by summing over the two values."""
    return sum(
        probability(natural, s) * mpmath.log(probability(natural, s) / probability(prior, s)) for s in (-1, 1)
    )


def kl_gradient(natural, prior):
    """Return the derivatives in the posterior's and in the prior's natural parameter."""
    a, b = mpmath.mpf(natural), mpmath.mpf(prior)
    return (a - b) * sech2(a), mpmath.tanh(b) - mpmath.tanh(a)


def ulps(values, exact):
    """Return the largest error of ``values`` in units of the last place of ``exact``."""
    info = torch.finfo(values.dtype)
    worst = 0.0
    for value, true in zip(values.detach().double().flatten().tolist(), exact, strict=True):
        scale = max(mpmath.mpf(2) ** (mpmath.mag(true) - 1) if true else 0, mpmath.mpf(info.tiny))
        worst = max(worst, float(abs(mpmath.mpf(value) - true) / (scale * info.eps)))
    return worst


def naturals(dtype):
    """Return natural parameters from 0 to the type's limit, both signs, small and large."""
    limit = LIMIT[dtype]
    positive = [1e-6, 0.01, 0.2, 0.25, 0.3, 1.0, 2.5, 5.0, 9.0, 12.0, 19.7, 40.0, limit / 2, limit]
    return torch.tensor(sorted({0.0, *positive, *(-x for x in positive)}), dtype=dtype)


def pairs(dtype):
    """Return pairs (posterior, prior): all of the grid, and close neighbours on both sides of the series."""
    grid = naturals(dtype)
    both = torch.tensor(list(itertools.product(grid.tolist(), grid.tolist())), dtype=dtype)
    gaps = torch.tensor([1e-5, -1e-3, 0.02, -0.1, 0.2499, -0.2501, 0.3, -0.6], dtype=dtype)
    near = torch.stack((grid.repeat_interleave(len(gaps)), (grid[:, None] + gaps).flatten()), dim=-1)
    return torch.cat((both, near)).unbind(-1)
