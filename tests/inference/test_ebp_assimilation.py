"""The backward pass: against autograd, against enumeration, and in the tails."""

import itertools
import math

import pytest
import torch

from bisnn_pyro.inference.ebp import (
    LayerMoments,
    Potential,
    assimilate,
    errors,
    forward,
    log_evidence,
    one_hot_signs,
)
from tests.inference import ebp_reference as reference
from tests.inference.test_ebp_moments import KINDS, inputs, make_layers, means

Y = torch.tensor([0, 1, 2, 1, 0])


def step(layers, x, y, dropout=None):
    """One update; return each layer's change of parameter and bias."""
    before = [(x.parameter.clone(), x.bias.clone()) for x in layers]
    passed = forward(layers, x, dropout)
    signs = one_hot_signs(y, len(layers[-1].bias), x)
    assimilate(layers, passed, errors(layers, passed, signs))
    return [(x.parameter - p, x.bias - b) for x, (p, b) in zip(layers, before, strict=True)]


@KINDS
@pytest.mark.parametrize("dropout", [None, 0.8])
def test_update_is_the_derivative_of_the_log_evidence_in_the_means(binary, dropout):
    """Layer by layer, with variances held constant."""
    layers, x = make_layers(binary=binary), inputs()
    leaves = [m.detach().clone().requires_grad_() for m in means(layers)]
    biases = [layer.bias.clone().requires_grad_() for layer in layers]
    z = reference.forward(leaves, biases, x, binary=binary, dropout=dropout)[-1]
    reference.log_evidence(z, Y).backward()
    for k, (change, bias_change) in enumerate(step(layers, x, Y, dropout)):
        torch.testing.assert_close(change, leaves[k].grad, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(bias_change, biases[k].grad, rtol=1e-9, atol=1e-12)


def test_variances_matter_to_the_derivative():
    """So that the test above would notice if they were not held constant."""
    layers, x = make_layers(), inputs()
    leaves = [m.detach().clone().requires_grad_() for m in means(layers)]
    z = reference.forward(leaves, [la.bias for la in layers], x, binary=True, detach=False)[-1]
    reference.log_evidence(z, Y).backward()
    change = step(layers, x, Y)[0][0]
    assert float((change - leaves[0].grad).abs().max()) > 0.01


@KINDS
def test_scale_of_stored_biases(binary):
    plain = step(make_layers(binary=binary), inputs(), Y)
    scaled = step(make_layers(binary=binary, scale=0.25), inputs(), Y)
    for (w, b), (w_scaled, b_scaled) in zip(plain, scaled, strict=True):
        torch.testing.assert_close(w_scaled, w, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(b_scaled, 0.25 * b, rtol=1e-10, atol=1e-12)


@KINDS
def test_a_batch_is_the_sum_of_its_examples(binary):
    x = inputs()
    together = step(make_layers(binary=binary), x, Y)
    apart = [step(make_layers(binary=binary), x[i : i + 1], Y[i : i + 1]) for i in range(len(x))]
    for k, (w, b) in enumerate(together):
        torch.testing.assert_close(w, sum(one[k][0] for one in apart), rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(b, sum(one[k][1] for one in apart), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_errors_of_outputs_that_are_sure(dtype, rtol):
    """At |z| up to 1000: about |z| where wrong, zero where right, and never NaN."""
    layers = make_layers((2, 3), dtype=dtype)
    for size in (30.0, 1e3):
        z = torch.tensor([[size, -size, 0.0]], dtype=dtype)
        passed = forward(layers, inputs(1, 2, dtype=dtype))
        passed = passed._replace(potentials=(Potential(z, torch.ones_like(z)),))
        signs = one_hot_signs(torch.tensor([1]), 3, z)
        assert torch.equal(signs, torch.tensor([[-1.0, 1.0, -1.0]], dtype=dtype))
        (delta,) = errors(layers, passed, signs)
        # phi(z)/Phi(z) at z = -size by its asymptotic series, and at 0.
        tail = size * (1 + size**-2 - 2 * size**-4 + 10 * size**-6 - 74 * size**-8 + 706 * size**-10)
        expected = torch.tensor([[-2 * tail, 2 * tail, -2 * math.sqrt(2 / math.pi)]], dtype=dtype)
        torch.testing.assert_close(delta, expected, rtol=rtol, atol=0)
        (right,) = errors(layers, passed, -signs)
        assert bool((right[0, :2].abs() < 1e-30).all())
        assert math.isclose(float(log_evidence(z, signs)), -(size**2), rel_tol=0.05)


def enumerate_signs(n):
    return torch.tensor(list(itertools.product((-1.0, 1.0), repeat=n)), dtype=torch.float64)


class TestOneLayerAgainstEnumeration:
    """A layer of one unit with 12 binary synapses: 4096 networks, the posterior in closed form."""

    n, n_examples = 12, 8

    def setup_method(self):
        source = torch.Generator().manual_seed(7)
        self.h = 0.5 * torch.randn(1, self.n, generator=source, dtype=torch.float64)
        self.x = torch.randn(self.n_examples, self.n, generator=source, dtype=torch.float64)
        truth = torch.where(torch.rand(self.n, generator=source) < 0.5, -1.0, 1.0).double()
        self.signs = torch.where(self.x @ truth >= 0, 1.0, -1.0)[:, None]
        self.networks = enumerate_signs(self.n)

    def log_prior(self):
        return (self.networks * self.h - torch.log(2 * torch.cosh(self.h))).sum(-1)

    def natural(self, log_joint):
        """The marginals' natural parameters."""
        p = torch.softmax(log_joint, 0)
        return torch.atanh(p @ self.networks)

    def fit(self, rows, size=1.0):
        layer = LayerMoments(self.h.clone(), torch.zeros(1, dtype=torch.float64), scale=1.0, binary=True)
        for row in rows:
            layer.bias.zero_()  # the enumerated networks have a bias of mean 0 throughout
            passed = forward([layer], size * self.x[row : row + 1])
            assimilate([layer], passed, errors([layer], passed, self.signs[row : row + 1]))
        return layer

    def test_one_example(self):
        """The exact update is a finite difference, ours its derivative: they meet as inputs get small."""
        worst = []
        for size in (0.4, 0.1, 0.025):
            for row in range(self.n_examples):
                x = size * self.x[row : row + 1]
                z = self.signs[row] * (self.networks @ x[0])
                exact = self.natural(self.log_prior() + torch.special.log_ndtr(z)) - self.h[0]
                ours = self.fit([row], size).parameter[0] - self.h[0]
                worst.append(float((ours - exact).abs().max() / exact.abs().max()))
        worst = [max(worst[k : k + self.n_examples]) for k in range(0, len(worst), self.n_examples)]
        assert worst[0] < 0.5
        assert worst[1] < worst[0] / 2
        assert worst[2] < min(worst[1] / 2, 0.05)

    def test_posterior_and_decisions_after_all_examples(self):
        z = self.signs.T * (self.networks @ self.x.T)
        log_joint = self.log_prior() + torch.special.log_ndtr(z).sum(-1)
        layer = self.fit(range(self.n_examples))
        exact = torch.softmax(log_joint, 0) @ self.networks
        ours = torch.tanh(layer.parameter[0])
        assert float(torch.corrcoef(torch.stack((ours, exact)))[0, 1]) > 0.95
        new = torch.randn(200, self.n, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
        p = torch.softmax(log_joint, 0) @ reference.normal_cdf(self.networks @ new.T)
        layer.bias.zero_()
        q = reference.normal_cdf(forward([layer], new).potentials[-1].z[:, 0])
        sure = (p - 0.5).abs() > 0.15
        assert int(sure.sum()) > 100
        assert bool(((p > 0.5) == (q > 0.5))[sure].all())
        assert float((p - q).abs().mean()) < 0.1


def test_hidden_layer_moves_as_the_exact_posterior_does():
    """Two layers, 3-3-2: all 2^15 weight matrices and the 8 states of the hidden units enumerated.

    The start is asymmetric; under a symmetric one the exact marginals of hidden weights stay at zero.
    """
    source = torch.Generator().manual_seed(11)
    h1, h2 = (0.8 * torch.randn(s, generator=source, dtype=torch.float64) for s in ((3, 3), (2, 3)))
    w1, w2, units = (
        enumerate_signs(9).reshape(-1, 3, 3),
        enumerate_signs(6).reshape(-1, 2, 3),
        enumerate_signs(3),
    )
    prior1 = torch.softmax((w1 * h1).sum((-2, -1)), 0)
    prior2 = torch.softmax((w2 * h2).sum((-2, -1)), 0)
    agreements = []
    for trial in range(20):
        x = torch.randn(1, 3, generator=source, dtype=torch.float64)
        y = torch.tensor([trial % 2])
        signs = one_hot_signs(y, 2, x)[0]
        hidden = reference.normal_cdf(units[None] * (w1 @ x[0])[:, None]).prod(-1)  # [W1, units]
        output = reference.normal_cdf(signs * torch.einsum("woi,ui->wuo", w2, units)).prod(-1)  # [W2, units]
        joint = prior1[:, None] * prior2 * (hidden @ output.T)
        joint = joint / joint.sum()
        exact = [
            torch.atanh(torch.einsum("w,woi->oi", joint.sum(1), w1)) - h1,
            torch.atanh(torch.einsum("w,woi->oi", joint.sum(0), w2)) - h2,
        ]
        layers = [
            LayerMoments(h.clone(), torch.zeros(len(h), dtype=torch.float64), scale=1.0, binary=True)
            for h in (h1, h2)
        ]
        changes = [w for w, _ in step(layers, x, y)]
        for ours, truth in zip(changes, exact, strict=True):
            cosine = (ours * truth).sum() / (ours.norm() * truth.norm())
            agreements.append(float(cosine))
    # Layers of three units are as far from Gaussian as it gets.
    hidden_layer, output_layer = agreements[::2], agreements[1::2]
    assert min(agreements) > 0.3
    assert sum(hidden_layer) / len(hidden_layer) > 0.8
    assert sum(output_layer) / len(output_layer) > 0.8
