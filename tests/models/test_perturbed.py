"""Weights with noise of each example's own: against explicit weights of every example."""

import pytest
import torch

from bisnn_pyro.distributions import Perturbed
from bisnn_pyro.models import BinaryPrior, CategoricalSteps, Conv, Dense, SpikingGLM, dynamics, layers
from bisnn_pyro.models.dynamics import TimeConstants, recurrent_scan
from bisnn_pyro.models.layers import ConvSynapses, DenseSynapses, split_examples
from bisnn_pyro.models.surrogate import Sigmoid

N_STEPS, BATCH, N_IN, N_OUT = 5, 3, 4, 4
F64 = torch.float64


@pytest.fixture
def signs(monkeypatch):
    """Record the random signs that a layer draws."""
    drawn = []

    def recorded(like, *shape):
        drawn.append(torch.randint(0, 2, shape).to(like.dtype) * 2 - 1)
        return drawn[-1]

    for module in (dynamics, layers):
        monkeypatch.setattr(module, "random_signs", recorded)
    return drawn


def perturbed(*shape):
    return Perturbed(
        torch.randn(shape, dtype=F64, requires_grad=True), torch.randn(shape, dtype=F64, requires_grad=True)
    )


def explicit(weight, into, out):
    """The weights ``[B, O, I]`` of each example."""
    return weight.mean + out.unsqueeze(-1) * into.unsqueeze(-2) * weight.noise


class TestDense:
    def test_equals_explicit_weights(self, signs):
        layer, weight = DenseSynapses(N_IN, N_OUT, BinaryPrior()), perturbed(N_OUT, N_IN)
        x = torch.randn(N_STEPS, BATCH, N_IN, dtype=F64)
        found = layer.sums(x, weight)
        expected = torch.einsum("tbi,boi->tbo", x, explicit(weight, *signs))
        torch.testing.assert_close(found, expected)

    def test_normalised_layers_remove_the_mean_of_the_noise(self, signs):
        layer, weight = DenseSynapses(N_IN, N_OUT, BinaryPrior(), normalise=True), perturbed(N_OUT, N_IN)
        x = torch.randn(N_STEPS, BATCH, N_IN, dtype=F64)
        found = layer.sums(x, weight) - x @ weight.mean.mT
        centred = x - x.mean((0, 1))
        expected = torch.einsum("tbi,boi->tbo", centred, explicit(weight, *signs) - weight.mean)
        torch.testing.assert_close(found, expected)

    def test_noise_is_constant_over_time(self):
        layer, weight = DenseSynapses(N_IN, N_OUT, BinaryPrior()), perturbed(N_OUT, N_IN)
        x = torch.randn(1, BATCH, N_IN, dtype=F64).expand(N_STEPS, BATCH, N_IN)
        found = layer.sums(x, weight)
        torch.testing.assert_close(found, found[:1].expand_as(found))

    def test_covariance_is_that_of_binary_draws(self):
        # 40,000 draws of one example's noise; false alarm beyond six standard errors: 2e-9 an entry.
        n, layer = 40_000, DenseSynapses(N_IN, 1, BinaryPrior())
        natural = torch.linspace(-1, 1.5, N_IN, dtype=F64)
        x = torch.rand(N_STEPS, 1, N_IN, dtype=F64)
        noise = torch.randn(n, 1, N_IN, dtype=F64) / torch.cosh(natural)
        weight = Perturbed(torch.tanh(natural).expand(n, 1, N_IN), noise)
        z = layer.sums(x, weight).reshape(n, N_STEPS)
        z = z - z.mean(0)
        products = z.unsqueeze(1) * z.unsqueeze(2)
        p = x[:, 0]
        expected = (p / torch.cosh(natural) ** 2) @ p.T
        error = 6 * products.std(0) / n**0.5
        assert bool(((products.mean(0) - expected).abs() < error).all())


@pytest.mark.parametrize("channels_last", [False, True])
def test_convolution_equals_explicit_kernels(signs, channels_last):
    layer = ConvSynapses((2, 4, 3), 3, 2, BinaryPrior(), padding=1, channels_last=channels_last)
    weight = perturbed(3, 8)
    x = torch.randn(N_STEPS, BATCH, layer.n_inputs, dtype=F64)
    found = layer.sums(x, weight)
    into, out = signs
    kernels = explicit(weight, into.repeat_interleave(4, 1), out)
    expected = [layer.product(x[:, b : b + 1].contiguous(), kernels[b]) for b in range(BATCH)]
    torch.testing.assert_close(found, torch.cat(expected, 1))


@pytest.mark.parametrize("through_time", [False, True])
def test_lateral_synapses_equal_explicit_weights(signs, through_time):
    """Forward, and the gradients of the currents and of both parts of the weights."""
    weight = perturbed(N_OUT, N_OUT)
    current = torch.randn(N_STEPS, BATCH, N_OUT, dtype=F64, requires_grad=True)
    slopes = torch.randn(N_STEPS, BATCH, N_OUT, dtype=F64)
    options = {
        "constants": TimeConstants(2.0, 1.0, 1.0),
        "surrogate": Sigmoid(),
        "through_time": through_time,
    }
    spikes, *_ = recurrent_scan(current, weight, **options)
    leaves = [current, weight.mean, weight.noise]
    found = torch.autograd.grad((spikes * slopes).sum(), leaves)
    each = explicit(weight, *signs)
    alone = [recurrent_scan(current[:, b : b + 1], each[b], **options)[0] for b in range(BATCH)]
    torch.testing.assert_close(spikes, torch.cat(alone, 1))
    expected = torch.autograd.grad((torch.cat(alone, 1) * slopes).sum(), leaves)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)


NETWORKS = {
    "dense": {"hidden": [6, 5]},
    "recurrent": {"hidden": [Dense(6, recurrent=True), 5]},
    "conv": {"hidden": [Conv(3, 2, padding=1, pool=2), 5], "image_shape": (1, 2, 4)},
}


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("constant", [False, True])
class TestGroups:
    def test_each_group_runs_as_alone(self, kind, normalise, constant):
        """Inputs ``[S, T, B, I]``: every draw sees its own examples, with its own normalisation."""
        net = SpikingGLM(
            8,
            likelihood=CategoricalSteps(3),
            normalise=normalise,
            credit="end-to-end",
            readout="trained",
            **NETWORKS[kind],
        )
        x = torch.rand(N_STEPS, 6, 8)
        x = x[:1].expand(N_STEPS, 6, 8) if constant else x
        weights = {n: torch.randn(2, *s).sign() for n, s in net.weight_shapes.items()}
        together = net.simulate(weights, split_examples(x, 2)).readouts[-1]
        for k in range(2):
            alone = net.simulate({n: w[k] for n, w in weights.items()}, x[:, 3 * k : 3 * k + 3]).readouts[-1]
            torch.testing.assert_close(together[k], alone, rtol=1e-4, atol=1e-5)
