"""Surrogate gradients: formula, area, symmetry, and how many units they reach."""

import math

import pytest
import torch
from scipy import integrate

from bisnn_pyro.errors import ModelError
from bisnn_pyro.models import (
    Arctan,
    BinaryPrior,
    Boxcar,
    CategoricalRate,
    FastSigmoid,
    Sigmoid,
    SpikingGLM,
    TimeConstants,
    Triangle,
)

SURROGATES = {
    "boxcar": Boxcar,
    "sigmoid": Sigmoid,
    "fast-sigmoid": FastSigmoid,
    "triangle": Triangle,
    "arctan": Arctan,
}
ALL = pytest.mark.parametrize("name", SURROGATES)
WIDTHS = pytest.mark.parametrize("width", [0.1, 0.5, 2.0])

FORMULAS = {
    "boxcar": lambda u, w: 1 / (2 * w) if abs(u) < w else 0.0,
    "sigmoid": lambda u, w: math.exp(-abs(u) / w) / (w * (1 + math.exp(-abs(u) / w)) ** 2),
    "fast-sigmoid": lambda u, w: w / (2 * (w + abs(u)) ** 2),
    "triangle": lambda u, w: max(0.0, (w - abs(u)) / w**2),
    "arctan": lambda u, w: w / (math.pi * (w**2 + u**2)),
}


@ALL
@WIDTHS
def test_formula_and_symmetry(name, width):
    surrogate = SURROGATES[name](width)
    u = torch.cat((torch.linspace(-5, 5, 402), torch.tensor([0.0, 30.0]))).double()
    expected = [FORMULAS[name](x, width) for x in u.tolist()]
    assert surrogate.derivative(u).tolist() == pytest.approx(expected, abs=1e-12)
    torch.testing.assert_close(surrogate.derivative(-u), surrogate.derivative(u))
    assert surrogate.derivative(u.float()).dtype == torch.float32


@ALL
@WIDTHS
def test_area_is_one(name, width):
    surrogate = SURROGATES[name](width)

    def value(u):
        return float(surrogate.derivative(torch.tensor(u, dtype=torch.float64)))

    inner, _ = integrate.quad(value, -width, width, limit=200)
    tails = (
        0.0 if name in ("boxcar", "triangle") else 2 * integrate.quad(value, width, math.inf, limit=200)[0]
    )
    assert inner + tails == pytest.approx(1, abs=1e-6)


def test_boxcar_includes_its_upper_end_only():
    u = torch.tensor([-0.5, -0.4999, 0.0, 0.5, 0.5001])
    assert Boxcar().derivative(u).tolist() == [0, 1, 1, 1, 0]


def test_share_within():
    u = torch.tensor([-2.0, -0.5, 0.0, 0.2, 0.51])
    assert Triangle(0.5).share_within(u) == pytest.approx(0.6)


@ALL
@pytest.mark.parametrize("width", [0.0, -0.5, math.nan, math.inf])
def test_bad_width_is_refused(name, width):
    with pytest.raises(ModelError, match="width"):
        SURROGATES[name](width)


def share(gain, n_inputs=20, hidden=(64, 64)):
    """Share of potentials within the surrogate's width, for each layer, with random +-1 weights."""
    generator = torch.Generator().manual_seed(0)
    model = SpikingGLM(n_inputs, hidden, CategoricalRate(2), prior=BinaryPrior(), gain=gain)
    sizes = (n_inputs, *hidden)
    weights = {
        f"layers.{k}.weight": torch.randint(0, 2, (5, sizes[k + 1], sizes[k]), generator=generator) * 2.0 - 1
        for k in range(len(hidden))
    }
    # Rates as of the population code: spread evenly over [0, 1].
    rates = torch.rand(8, n_inputs, generator=generator)
    spikes = (torch.rand(100, 8, n_inputs, generator=generator) < rates).float()
    report = model.activity(weights, spikes)
    assert all(0.05 < report[f"rate_{k}"] < 0.95 for k in range(len(hidden)))
    return [report[f"within_{k}"] for k in range(len(hidden))]


def test_normalised_potentials_reach_the_surrogate_and_the_papers_do_not():
    assert min(share(1.0)) > 0.3
    assert max(share(TimeConstants().dc_gain)) < 0.1
