"""The contract of an estimator, for each of the package, and what is known of each in closed form."""

import pytest
import torch

from bisnn_pyro.distributions import (
    FirstOrderSign,
    HardRelaxedSignBernoulli,
    LocalSign,
    RelaxedSignBernoulli,
    SecondOrderSign,
    sech2,
)
from bisnn_pyro.inference.guides import ESTIMATORS
from bisnn_pyro.testing import EstimatorContract


class TestSecondOrder(EstimatorContract):
    exact_for = "quadratic"

    def make(self, natural):
        return SecondOrderSign(natural)

    def test_factor(self):
        # (1 - w tanh(lambda)) dL/dw, and dL/dw / (1 + w tanh(lambda)) in the natural form.
        natural = torch.linspace(-9, 9, 4001, dtype=self.dtype, requires_grad=True)
        w = self.make(natural).rsample()
        slope = torch.randn(natural.shape, dtype=self.dtype)
        (slope * w).sum().backward()
        mu = torch.tanh(natural.detach())
        torch.testing.assert_close(natural.grad, slope * (1 - w.detach() * mu), rtol=1e-6, atol=1e-12)
        natural_form = natural.grad / sech2(natural.detach())
        torch.testing.assert_close(natural_form, slope / (1 + w.detach() * mu), rtol=1e-6, atol=1e-9)

    def test_repeated_in_any_dimension(self):
        # Rows of certain synapses of both signs, repeated along either axis.
        for shape in ((2, 1), (2,)):
            natural = torch.tensor([-20.0, 20.0]).reshape(shape).requires_grad_()
            w = self.make(natural).expand((3, 2, 2)).rsample()
            assert torch.equal(w, natural.detach().sign().expand(3, 2, 2))
            (w * torch.arange(12.0).reshape(3, 2, 2)).sum().backward()
            assert natural.grad.shape == natural.shape

    def test_compiled_loops_agree_with_the_formula(self):
        # float32 on the CPU draws and differentiates in compiled loops: 10^5 draws of 9 synapses against
        # P(+1), within six standard errors, and the gradient against double precision.
        natural = torch.linspace(-4, 4, 9, requires_grad=True)
        w = self.make(natural).expand((100_000, 9)).rsample()
        p = torch.sigmoid(2 * natural.detach())
        error = 6 * (p * (1 - p) / len(w)).sqrt()
        assert bool((((w.detach() > 0).float().mean(0) - p).abs() <= error).all())
        slope = torch.linspace(-1, 1, 9 * 100).reshape(100, 9)
        few = self.make(natural).expand((100, 9)).rsample()
        (few * slope).sum().backward()
        mu = torch.tanh(natural.detach().double())
        expected = ((1 - few.detach().double() * mu) * slope).sum(0)
        torch.testing.assert_close(natural.grad.double(), expected, rtol=1e-5, atol=1e-5)

    def test_rare_draws_never_happen_at_the_edge(self):
        # A uniform number of exactly 0 must not draw +1 where its probability is below its resolution.
        w = self.make(torch.full((2_000_000,), -40.0)).rsample()
        assert bool((w == -1).all())


class TestFirstOrder(EstimatorContract):
    exact_for = "linear"

    def make(self, natural):
        return FirstOrderSign(natural)

    def test_bias_of_a_quadratic_is_known(self):
        # L = c w^2 is constant on +-1, so that the truth is 0; the estimate is sech^2 * 2 c w, 2 c mu sech^2
        # on average.  The second order's is 2 c E[(1 - w mu) w] = 0.
        natural = torch.tensor([0.7], dtype=self.dtype)
        for kind, expected in (
            (FirstOrderSign, 2 * 1.5 * torch.tanh(natural) * sech2(natural)),
            (SecondOrderSign, 0),
        ):
            each = natural.expand(200_000, 1).clone().requires_grad_()
            (1.5 * kind(each).rsample() ** 2).sum().backward()
            error = 6 * float(each.grad.std()) / 200_000**0.5
            assert float(each.grad.mean()) == pytest.approx(float(expected), abs=error)


class TestLocal(EstimatorContract):
    exact_for = "quadratic"
    hard = False

    def make(self, natural):
        return LocalSign(natural)


class TestRelaxed(EstimatorContract):
    hard = False

    def make(self, natural):
        return RelaxedSignBernoulli(0.7, natural)

    def test_is_biased(self):
        # Why it is not the default: networks that vote have more than twice its variance.
        error, deviation = self.bias("quadratic")
        assert bool((error.abs() > 6 * deviation).any())


class TestHardRelaxed(EstimatorContract):
    def make(self, natural):
        return HardRelaxedSignBernoulli(0.7, natural)


def test_every_estimator_has_its_contract():
    tested = {type(c.make(c(), torch.zeros(1))) for c in EstimatorContract.__subclasses__()}
    assert tested >= set(ESTIMATORS.values())
