"""The forward pass: against the papers' formulas, and against sampled networks."""

import math
from itertools import pairwise

import pytest
import torch

from bisnn_pyro.inference.ebp import LayerMoments, forward, input_signal, unit_signal
from tests.inference import ebp_reference as reference

KINDS = pytest.mark.parametrize("binary", [True, False], ids=["binary", "real"])
SIZES = (7, 9, 8, 3)


def make_layers(sizes=SIZES, *, binary=True, spread=1.0, seed=0, dtype=torch.float64, scale=1.0):
    source = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(shape, generator=source, dtype=torch.float64).to(dtype)

    return [
        LayerMoments(spread * normal(o, i), normal(o) * scale, scale=scale, binary=binary)
        for i, o in pairwise(sizes)
    ]


def inputs(n=5, size=SIZES[0], seed=1, dtype=torch.float64):
    return torch.randn(n, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def means(layers):
    return [torch.tanh(x.parameter) if x.binary else x.parameter for x in layers]


@KINDS
@pytest.mark.parametrize("dropout", [None, 0.8, 0.5])
def test_all_layers_follow_the_papers(binary, dropout):
    layers, x = make_layers(binary=binary), inputs()
    z = [p.z for p in forward(layers, x, dropout).potentials]
    biases = [layer.bias for layer in layers]
    for ours, theirs in zip(
        z, reference.forward(means(layers), biases, x, binary=binary, dropout=dropout), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@KINDS
def test_stored_biases_are_in_the_networks_units(binary):
    plain = forward(make_layers(binary=binary), inputs()).potentials[-1].z
    scaled = forward(make_layers(binary=binary, scale=0.25), inputs()).potentials[-1].z
    torch.testing.assert_close(scaled, plain, rtol=1e-12, atol=1e-12)


def draw(layer, n, source):
    """n weight matrices and biases of a layer's posterior."""
    shape = (n, *layer.parameter.shape)
    if layer.binary:
        p = torch.sigmoid(2 * layer.parameter)
        w = torch.where(torch.rand(shape, generator=source, dtype=p.dtype) < p, 1.0, -1.0).double()
    else:
        w = layer.parameter + torch.randn(shape, generator=source, dtype=torch.float64)
    b = layer.bias + torch.randn(n, layer.bias.numel(), generator=source, dtype=torch.float64)
    return w, b


def assert_moments(samples, mean, variance):
    """Compare samples [n, ...] with their mean and variance.

    Six standard errors each: for the some 50 comparisons of a test together a false alarm in 10 million.
    """
    n = len(samples)
    assert bool(((samples.mean(0) - mean).abs() < 6 * samples.std(0) / math.sqrt(n)).all())
    squares = (samples - mean).square()
    assert bool(((squares.mean(0) - variance).abs() < 6 * squares.std(0) / math.sqrt(n)).all())


@KINDS
def test_first_layer_against_sampled_weights(binary):
    (layer,), x = make_layers((6, 4), binary=binary, spread=0.7), inputs(3, 6)
    layer.refresh()
    z, deviation = layer.potential(input_signal(x, None))
    w, b = draw(layer, 40_000, torch.Generator().manual_seed(2))
    assert_moments(torch.einsum("noi,bi->nbo", w, x) + b[:, None], z * deviation, deviation.square())


@KINDS
def test_hidden_layer_against_sampled_weights_and_units(binary):
    (layer,), before = make_layers((6, 4), binary=binary, spread=0.7), inputs(3, 6)
    layer.refresh()
    z, deviation = layer.potential(unit_signal(before))
    source, n = torch.Generator().manual_seed(3), 40_000
    w, b = draw(layer, n, source)
    noise = torch.randn(n, 3, 6, generator=source, dtype=torch.float64)
    units = torch.where(before + noise >= 0, 1.0, -1.0).double()
    assert_moments(torch.einsum("noi,nbi->nbo", w, units) + b[:, None], z * deviation, deviation.square())


@KINDS
def test_wide_network_against_sampled_networks(binary):
    """Here the Gaussian approximation itself is on trial, hence a tolerance on top of the sampling error."""
    layers, x = make_layers((40, 50, 60, 3), binary=binary, spread=0.3, seed=4), inputs(4, 40)
    expected = 2 * reference.normal_cdf(forward(layers, x).potentials[-1].z) - 1
    source, n = torch.Generator().manual_seed(5), 4_000
    a = x.expand(n, *x.shape)
    for layer in layers:
        w, b = draw(layer, n, source)
        a = torch.where(torch.einsum("noi,nbi->nbo", w, a) + b[:, None] >= 0, 1.0, -1.0).double()
    # A mean of 4000 signs has a standard error of 0.016 at most; five of them for twelve means.
    assert float((a.mean(0) - expected).abs().max()) < 0.02 + 5 * 0.016


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@KINDS
def test_certain_synapses_and_huge_inputs_stay_finite(binary, dtype):
    layers = make_layers((7, 9, 3), binary=binary, spread=100.0, dtype=dtype)
    for size in (1e-6, 1.0, 1e6):
        for z, deviation in forward(layers, size * inputs(dtype=dtype), 0.8).potentials:
            assert bool(z.isfinite().all())
            assert bool((deviation >= 1).all())  # the bias's variance is always left
