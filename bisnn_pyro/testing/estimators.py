"""What every estimator of a gradient through binary draws must do, as a suite for pytest.

Subclass it in a test file and say how to make a training draw, and for which losses its gradient is exact::

    class TestSecondOrder(EstimatorContract):
        exact_for = "quadratic"

        def make(self, natural):
            return SecondOrderSign(natural)
"""

from __future__ import annotations

import itertools
from typing import Any, Literal

import torch
from torch import Tensor
from torch.distributions import kl_divergence

from bisnn_pyro.distributions import Perturbed, SignBernoulli, sech2
from bisnn_pyro.models import BinaryPrior, DenseSynapses
from bisnn_pyro.testing.state import OwnState

N_DRAWS = 20_000
_SHAPE = (2, 3)


class EstimatorContract(OwnState):
    """The tests; the truth is the exact gradient of an expected loss, by enumeration of 64 networks.

    Averages of :data:`N_DRAWS` draws may differ from it by six standard errors: at six gradients a test, a
    false alarm in 10^8 tests, for the fixed ``seed`` none.
    """

    exact_for: Literal["quadratic", "linear", ""] = ""
    """Losses, as functions of the potentials, for which the gradient is exact on average."""
    hard: bool = True
    """Whether a draw is -1 or +1."""
    dtype = torch.float64

    def make(self, natural: Tensor) -> Any:
        """Return the distribution of a training draw; to be overridden."""
        raise NotImplementedError("define make() to return the distribution of a training draw")

    def natural(self) -> Tensor:
        """Return natural parameters ``[O, I]`` on both sides of a fair coin."""
        return torch.linspace(-1.2, 1.6, 6, dtype=self.dtype).reshape(_SHAPE)

    # -- a layer whose potentials are scored -------------------------------------------------------

    def potentials(self, weight: Tensor | Perturbed) -> Tensor:
        """Return potentials ``[*S, T, B, O]`` of a small layer."""
        layer = DenseSynapses(_SHAPE[1], _SHAPE[0], BinaryPrior())
        traces = torch.linspace(0.1, 1, 2 * 4 * 3, dtype=self.dtype).reshape(2, 4, 3)
        return layer.sums(traces, weight)

    def loss(self, weight: Tensor | Perturbed, kind: str) -> Tensor:
        """Return a loss ``[*S]`` that is linear, quadratic or cubic in each example's potentials."""
        z = self.potentials(weight)
        slopes = torch.linspace(-1, 2, 2 * 2, dtype=self.dtype).reshape(2, 1, 2)
        along = (slopes * z).sum((-3, -1))  # [*S, B]
        power = {"linear": along, "quadratic": along.square() + along, "cubic": along**3}
        return power[kind].sum(-1)

    def exact_gradient(self, natural: Tensor, kind: str) -> Tensor:
        """Return the gradient of the expected loss of binary networks."""
        natural = natural.detach().requires_grad_()
        signs = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=6)), dtype=self.dtype)
        networks = signs.reshape(-1, *_SHAPE)
        p = SignBernoulli(natural).log_prob(networks).sum((-2, -1)).exp()
        (p * self.loss(networks, kind)).sum().backward()
        assert natural.grad is not None
        return natural.grad

    def gradients(self, kind: str, natural: Tensor | None = None) -> Tensor:
        """Return the estimates ``[S, O, I]`` of :data:`N_DRAWS` draws."""
        natural = self.natural() if natural is None else natural
        each = natural.expand(N_DRAWS, *natural.shape).clone().requires_grad_()
        self.loss(self.make(each).rsample(), kind).sum().backward()
        assert each.grad is not None
        return each.grad

    def bias(self, kind: str) -> tuple[Tensor, Tensor]:
        """Return the mean error of the gradient ``[O, I]`` and its standard error."""
        found = self.gradients(kind)
        error = found.mean(0) - self.exact_gradient(self.natural(), kind)
        return error, found.std(0) / N_DRAWS**0.5

    # -- the tests ---------------------------------------------------------------------------------

    def test_draws(self) -> None:
        """Of the right shape and type, +-1 if hard, and with the mean and variance of the binary weight."""
        natural = self.natural()
        draw = self.make(natural).expand((N_DRAWS, *natural.shape)).rsample()
        w = draw.shared() if isinstance(draw, Perturbed) else draw
        assert w.shape == (N_DRAWS, *natural.shape)
        assert w.dtype == self.dtype
        if not (self.hard or isinstance(draw, Perturbed)):
            assert bool((w.abs() <= 1).all())
            return
        assert bool((w.abs() == 1).all()) == self.hard
        mean, variance = torch.tanh(natural), sech2(natural)
        assert bool(((w.mean(0) - mean).abs() < 6 * (variance / N_DRAWS).sqrt()).all())
        fourth = (w - mean).pow(4).mean(0)
        assert bool(((w.var(0) - variance).abs() < 6 * (fourth / N_DRAWS).sqrt()).all())

    def test_gradient_is_exact_where_claimed(self) -> None:
        """On average, within six standard errors."""
        kinds = {"quadratic": ("linear", "quadratic"), "linear": ("linear",), "": ()}[self.exact_for]
        for kind in kinds:
            error, deviation = self.bias(kind)
            assert bool((error.abs() <= 6 * deviation + 1e-12).all()), kind

    def test_gradient_points_the_right_way(self) -> None:
        """Also of a cubic loss, for which no estimator here is exact, and in the natural form."""
        for kind in ("linear", "quadratic", "cubic"):
            exact, found = self.exact_gradient(self.natural(), kind), self.gradients(kind).mean(0)
            for scale in (1.0, sech2(self.natural())):
                a, b = (exact / scale).flatten(), (found / scale).flatten()
                assert float(torch.cosine_similarity(a, b, dim=0)) > 0.8, kind

    def test_tails(self) -> None:
        """Far from a fair coin gradients are finite in either precision, and so are natural ones."""
        for dtype in (torch.float32, torch.float64):
            natural = torch.tensor([-30.0, -12.0, 12.0, 30.0], dtype=dtype, requires_grad=True)
            draw = self.make(natural).rsample()
            parts = (draw.mean, draw.noise) if isinstance(draw, Perturbed) else (draw,)
            torch.stack([p.sum() for p in parts]).sum().backward()
            assert natural.grad is not None
            assert bool((natural.grad / sech2(natural.detach())).isfinite().all())

    def test_kl(self) -> None:
        """The KL to the prior is that of the binary weights."""
        natural, prior = self.natural(), SignBernoulli(torch.tensor(0.3, dtype=self.dtype))
        own, binary = (kl_divergence(q, prior) for q in (self.make(natural), SignBernoulli(natural)))
        assert torch.equal(own, binary)

    def test_expansion_shares_the_parameters(self) -> None:
        """Draws of an expanded distribution differ, and their gradients add up."""
        natural = self.natural().requires_grad_()
        draw = self.make(natural).expand((5, *_SHAPE)).rsample()
        w = draw.shared() if isinstance(draw, Perturbed) else draw
        assert not torch.equal(w[0], w[1])
        w.sum().backward()
        assert natural.grad is not None
        assert natural.grad.shape == natural.shape
