"""Convolutional synapses against explicit matrices with shared weights."""

import math

import pytest
import torch
from hypothesis import given, settings, strategies as st

from bisnn_pyro.errors import ModelError
from bisnn_pyro.models import BinaryPrior, ConvSynapses, Normalisation, ThresholdNeuron
from bisnn_pyro.models.normalisation import ChannelNormalisation
from tests.models.unfolding import dense_matrix, maps_shape

F64 = torch.float64
T, B = 3, 2


@st.composite
def problems(draw):
    """(image shape, channels, kernel, stride, padding) that fit together."""
    kernel, padding = draw(st.integers(1, 3)), draw(st.integers(0, 2))
    least = max(1, kernel - 2 * padding)
    sides = tuple(draw(st.integers(least, 5)) for _ in range(2))
    return (
        (draw(st.integers(1, 3)), *sides),
        draw(st.integers(1, 3)),
        kernel,
        draw(st.integers(1, 3)),
        padding,
    )


def synapses(problem, **options):
    shape, channels, kernel, stride, padding = problem
    prior = BinaryPrior()
    return ConvSynapses(shape, channels, kernel, prior, stride=stride, padding=padding, **options).double()


def tensors(layer, draws=(), x_draws=(), seed=0):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(*draws, layer.fan_out, layer.fan_in, generator=generator, dtype=F64)
    return torch.randn(*x_draws, T, B, layer.n_inputs, generator=generator, dtype=F64), weight


EXAMPLE = ((2, 5, 4), 3, 3, 1, 1)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize(
    ("draws", "x_draws"), [((), ()), ((3,), ()), ((3,), (3,)), ((2, 2), (2, 2)), ((), (2,))]
)
@pytest.mark.parametrize("dtype", [torch.float32, F64])
@given(problem=problems(), seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=15)
def test_product_is_that_with_the_dense_matrix(dtype, channels_last, draws, x_draws, problem, seed):
    layer = synapses(problem, channels_last=channels_last)
    shape, channels, kernel, stride, padding = problem
    x, weight = (z.to(dtype) for z in tensors(layer, draws, x_draws, seed))
    out = layer.product(x, weight)
    assert layer.maps == maps_shape(*problem)
    assert out.shape == (*(draws or x_draws), T, B, math.prod(layer.maps))
    rows = [
        dense_matrix(w, shape, kernel, stride, padding, channels_last=channels_last)
        for w in weight.reshape(-1, channels, layer.fan_in)
    ]
    matrix = torch.stack(rows).reshape(*draws, layer.n_units, layer.n_inputs)
    close = {} if dtype == F64 else {"rtol": 1e-5, "atol": 1e-5}
    torch.testing.assert_close(out, x @ matrix.mT.unsqueeze(-3), **close)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_gradients_are_those_of_the_dense_matrix(dtype, shared):
    layer = synapses(EXAMPLE, channels_last=True)
    x, weight = (z.to(dtype) for z in tensors(layer, (2,), () if shared else (2,)))
    leaves = x.requires_grad_(), weight.requires_grad_()
    matrices = torch.stack([dense_matrix(w, EXAMPLE[0], 3, 1, 1, channels_last=True) for w in weight])
    expected = x @ matrices.mT.unsqueeze(-3)
    functional = torch.randn_like(expected)
    ours = torch.autograd.grad((layer.product(x, weight) * functional).sum(), leaves)
    theirs = torch.autograd.grad((expected * functional).sum(), leaves)
    close = {} if dtype == F64 else {"rtol": 1e-4, "atol": 1e-4}
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, **close)


@pytest.mark.parametrize("x_draws", [(), (4,)])
def test_draws_are_those_of_a_loop(x_draws):
    layer = ConvSynapses((2, 6, 5), 3, 3, BinaryPrior(), gain=1.3)
    x, weight = (z.float() for z in tensors(layer, (4,), x_draws))
    together = layer.current(x, weight)
    for d in range(4):
        assert torch.equal(together[d], layer.current(x[d] if x_draws else x, weight[d]))


def test_current_is_scaled_by_fan_in_and_gain_with_a_bias_a_channel():
    layer = synapses(EXAMPLE, gain=1.5, bias=True)
    layer.bias = torch.tensor([0.1, -0.2, 0.3], dtype=F64)
    x, weight = tensors(layer, (2,))
    assert (layer.fan_in, layer.fan_out, layer.n_inputs, layer.n_units) == (18, 3, 40, 60)
    expected = layer.product(x, weight) * 1.5 / math.sqrt(18)
    expected = expected + torch.tensor([0.1, -0.2, 0.3], dtype=F64).repeat(20)  # channels last
    torch.testing.assert_close(layer.current(x, weight), expected)


@pytest.mark.parametrize("options", [{}, {"bias": True}, {"normalise": True}], ids=str)
def test_constant_current_is_the_sequence(options):
    layer, neuron = synapses(EXAMPLE, gain=2.0, **options), ThresholdNeuron()
    x, weight = tensors(layer, (2,))
    response, _ = neuron.step_response(7, x)
    trace, _ = neuron.trace(x[0].expand(7, -1, -1), None)
    sums = layer.constant_product(x[0], response, weight * layer.scale)
    torch.testing.assert_close(layer.finished(sums), layer.current(trace, weight))


def test_one_step():
    layer = synapses(EXAMPLE)
    x, weight = tensors(layer)
    torch.testing.assert_close(layer.product(x[:1], weight), layer.product(x, weight)[:1])


@pytest.mark.parametrize(
    ("shape", "kernel", "padding"), [((1, 4, 8), 5, 0), ((1, 8, 4), 5, 0), ((3, 2, 2), 5, 1)]
)
def test_a_kernel_larger_than_the_image_is_refused(shape, kernel, padding):
    with pytest.raises(ModelError, match=rf"kernel of 5 x 5 does not fit .* with padding {padding}: make"):
        ConvSynapses(shape, 2, kernel, BinaryPrior(), padding=padding)


# -- normalisation by channel -----------------------------------------------------------------------


def normalisers(n=3):
    found = ChannelNormalisation(n).double(), Normalisation(n).double()
    for norm in found:
        norm.gain = torch.linspace(0.5, 2, n, dtype=F64)
        norm.offset = torch.linspace(-1, 1, n, dtype=F64)
    return found


@pytest.mark.parametrize("n_reference", [0, 2])
@pytest.mark.parametrize("draws", [(), (1,), (3,), (2, 2)])
def test_places_are_examples_to_a_channels_statistics(draws, n_reference):
    torch.manual_seed(0)
    ours, plain = normalisers()
    maps = 3 * torch.randn(*draws, 4, 5, 6 * 3, dtype=F64, requires_grad=True) + 2
    places = maps.reshape(*draws, 4, 5 * 6, 3)
    functional = torch.randn_like(maps)
    one, other = ours(maps, n_reference), plain(places, n_reference * 6).reshape(maps.shape)
    torch.testing.assert_close(one, other)
    leaves = [maps, *ours.parameters()], [maps, *plain.parameters()]
    gradients = [
        torch.autograd.grad((y * functional).sum(), leaf, retain_graph=True)
        for y, leaf in zip((one, other), leaves, strict=True)
    ]
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b)


def test_normalisation_by_finite_differences():
    torch.manual_seed(0)
    norm, _ = normalisers(2)
    maps = torch.randn(2, 3, 2, 2 * 2, dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: norm(x, 0), maps)


def test_statistics_of_many_places_are_accurate():
    torch.manual_seed(0)
    maps = torch.randn(1, 40, 50, 100 * 2) * 0.01 + 1.0  # far from zero, in single precision
    out = ChannelNormalisation(2)(maps, 0).double()
    rows = maps.double().reshape(-1, 2)
    variance, mean = torch.var_mean(rows, dim=0, correction=0)
    expected = (rows - mean) / (variance + 1e-5).sqrt()
    torch.testing.assert_close(out.reshape(-1, 2), expected, atol=1e-4, rtol=0)


def test_a_silent_channel_does_not_blow_up():
    out = ChannelNormalisation(2)(torch.full((10, 3, 8), 4.0), 0)
    assert torch.equal(out, torch.zeros_like(out))


def test_normalisation_replaces_the_bias():
    layer = synapses(EXAMPLE, bias=True, normalise=True)
    assert layer.bias is None
    assert layer.normalisation.gain.shape == (3,)
