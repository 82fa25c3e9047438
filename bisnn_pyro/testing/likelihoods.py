"""What every likelihood must do, as a suite for pytest.

Subclass it in a test file and define how to make the likelihood::

    class TestMyLikelihood(LikelihoodContract):
        additive = True

        def make(self):
            return MyLikelihood(n_classes=3)
"""

from __future__ import annotations

import copy
from typing import Any

import pyro
import torch
from pyro import poutine
from torch import Tensor

from bisnn_pyro.models import Likelihood, SpikingGLM, Window
from bisnn_pyro.testing.state import OwnState

DTYPES = (torch.float32, torch.float64)
DRAWS: tuple[tuple[int, ...], ...] = ((), (1,), (3,), (2, 2))
N_STEPS, BATCH = 9, 4


class LikelihoodContract(OwnState):
    """The tests; each is independent and takes milliseconds.

    They run in a parameter store of their own.
    """

    additive = False
    """Whether the windows of *any* read-out add up to the whole, not only those of a constant one."""

    def make(self) -> Likelihood:
        """Return the likelihood under test; to be overridden."""
        raise NotImplementedError("define make() to return the likelihood to test")

    # -- scaffolding ------------------------------------------------------------------------------

    def targets(self) -> Tensor:
        """Return targets ``[B]`` (or trains ``[B, T, O]``); override for other kinds of target."""
        likelihood = self.make()
        if likelihood.kind == "classification":
            return torch.arange(BATCH) % likelihood.n_classes  # type: ignore[operator]
        return torch.linspace(-1, 1, BATCH, dtype=torch.float64)

    def readout(
        self, draws: tuple[int, ...] = (), dtype: torch.dtype = torch.float64, constant: bool = False
    ) -> Tensor:
        """Read-outs ``[*S, B, T, O]``; ``constant`` ones are the same at each step."""
        generator = torch.Generator().manual_seed(self.seed)
        shape = (*draws, BATCH, N_STEPS, self.make().n_outputs)
        r = torch.randn(shape, generator=generator, dtype=torch.float64)
        return (r[..., :1, :].expand(shape) if constant else r).to(dtype)

    # -- the score --------------------------------------------------------------------------------

    def test_one_finite_score_an_example(self) -> None:
        """``[*S, B]`` in the read-out's type, also for extreme read-outs."""
        for dtype in DTYPES:
            for draws in DRAWS:
                likelihood = self.make().to(dtype)
                for size in (1.0, 1e4):
                    score = likelihood.log_prob(size * self.readout(draws, dtype), self.targets())
                    assert score.shape == (*draws, BATCH)
                    assert score.dtype == dtype
                    assert bool(score.isfinite().all())

    def test_draws_and_examples_are_scored_apart(self) -> None:
        """A draw's score of an example is the same alone as in company."""
        likelihood, r, y = self.make().double(), self.readout((3,)), self.targets()
        together = likelihood.log_prob(r, y)
        for d in range(3):
            for b in range(BATCH):
                alone = likelihood.log_prob(r[d, b : b + 1], y[b : b + 1])
                torch.testing.assert_close(alone, together[d, b : b + 1])

    def test_gradient_reaches_the_readout(self) -> None:
        """By finite differences."""
        likelihood, y = self.make().double(), self.targets()[:2]
        r = self.readout()[:2, :4].clone().requires_grad_()
        assert torch.autograd.gradcheck(lambda x: likelihood.log_prob(x, y), r)

    def test_windows_add_up_to_the_whole(self) -> None:
        """The weighted scores of the windows of a sequence sum to the sequence's score."""
        likelihood, y = self.make().double(), self.targets()
        r = self.readout((2,), constant=not self.additive)
        whole = likelihood.log_prob(r, y)
        for size in (1, 2, N_STEPS):
            parts = [
                likelihood.log_prob(part, y, Window(start=k * size, fraction=part.shape[-2] / N_STEPS))
                for k, part in enumerate(r.split(size, dim=-2))
            ]
            torch.testing.assert_close(torch.stack(parts).sum(0), whole)

    # -- the site ---------------------------------------------------------------------------------

    def test_site_scores_as_log_prob_does(self) -> None:
        """The observed site, weight included, inside the data plate and under validation."""
        likelihood, y = self.make().double(), self.targets()
        for draws in ((), (3,)):
            r = self.readout(draws)
            for window in (Window(), Window(fraction=0.5)):
                with (
                    pyro.validation_enabled(True),
                    poutine.trace() as tape,
                    pyro.plate("data", BATCH, dim=-1),
                ):
                    likelihood.observe("y", r, y, window)
                tape.trace.compute_log_prob()
                site = tape.trace.nodes["y"]
                assert site["is_observed"]
                expected = likelihood.log_prob(r, y, window)
                assert site["log_prob"].shape == expected.shape
                torch.testing.assert_close(site["log_prob"], expected)

    def test_targets_can_be_drawn_and_scored(self) -> None:
        """Without ``y`` the site draws targets that its own distribution accepts."""
        likelihood, r = self.make().double(), self.readout((3,))
        with poutine.trace() as tape, pyro.plate("data", BATCH, dim=-1):
            drawn = likelihood.observe("y", r, None)
        site: dict[str, Any] = tape.trace.nodes["y"]  # type: ignore[assignment]
        assert not site["is_observed"]
        assert drawn.shape == site["fn"].shape()
        score = site["fn"].log_prob(drawn)
        assert score.shape == (3, BATCH)
        assert bool(score.isfinite().all())

    # -- soft targets ------------------------------------------------------------------------------

    def test_soft_targets_score_as_the_mean_of_the_labels(self) -> None:
        """By enumeration of the classes, with windows, site and gradient; one-hot is the label."""
        likelihood, r = self.make().double(), self.readout((3,))
        if not likelihood.soft_targets:
            return  # a learner refuses them
        n_classes: int = likelihood.n_classes  # type: ignore[assignment]
        generator = torch.Generator().manual_seed(self.seed)
        q = torch.rand(BATCH, n_classes, generator=generator, dtype=torch.float64)
        q = q / q.sum(-1, keepdim=True)
        hard = torch.eye(n_classes, dtype=torch.float64)
        for window in (Window(), Window(start=2, burn_in=1, fraction=0.5)):
            labels = [torch.full((BATCH,), c) for c in range(n_classes)]
            each = torch.stack([likelihood.log_prob(r, y, window) for y in labels], dim=-1)
            torch.testing.assert_close(likelihood.log_prob(r, q, window), (q * each).sum(-1))
            for c, y in enumerate(labels):
                torch.testing.assert_close(likelihood.log_prob(r, hard[y], window), each[..., c])
            with pyro.validation_enabled(True), poutine.trace() as tape, pyro.plate("data", BATCH, dim=-1):
                likelihood.observe("y", r, q, window)
            tape.trace.compute_log_prob()
            torch.testing.assert_close(tape.trace.nodes["y"]["log_prob"], likelihood.log_prob(r, q, window))
        few = self.readout()[:2, :4].clone().requires_grad_()
        assert torch.autograd.gradcheck(lambda x: likelihood.log_prob(x, q[:2]), few)

    # -- the prediction ---------------------------------------------------------------------------

    def test_prediction(self) -> None:
        """Probabilities ``[*S, B, C]`` that sum to one, or means ``[*S, B]`` and a noise scale."""
        for dtype in DTYPES:
            likelihood = self.make().to(dtype)
            for draws in DRAWS:
                prediction = likelihood.predict(self.readout(draws, dtype))
                assert prediction.dtype == dtype
                assert bool(prediction.isfinite().all())
                if likelihood.kind == "regression":
                    assert prediction.shape == (*draws, BATCH)
                    assert bool(likelihood.noise_scale > 0)  # type: ignore[operator]
                    continue
                assert prediction.shape == (*draws, BATCH, likelihood.n_classes)
                assert bool((prediction >= 0).all())
                total = prediction.sum(-1)
                torch.testing.assert_close(total, torch.ones_like(total))

    def test_prediction_is_per_draw_and_example(self) -> None:
        """Nothing is averaged here: that is the committee's part."""
        likelihood, r = self.make().double(), self.readout((3,))
        together = likelihood.predict(r)
        for d in range(3):
            for b in range(BATCH):
                torch.testing.assert_close(likelihood.predict(r[d, b : b + 1])[0], together[d, b])

    # -- the object -------------------------------------------------------------------------------

    def test_copies_share_no_parameters(self) -> None:
        """A network copies the likelihood for each of its read-outs."""
        likelihood = self.make()
        twin = copy.deepcopy(likelihood)
        pairs = list(zip(likelihood.parameters(), twin.parameters(), strict=True))
        assert all(one is not other and torch.equal(one, other) for one, other in pairs)

    def test_a_network_with_it_trains_and_predicts(self) -> None:
        """Loss and gradient are finite; a run without targets draws them."""
        readout = "trained" if self.make().needs_trained_readout else "random"
        model = SpikingGLM(3, (6, 5), self.make(), readout=readout, burn_in=2)  # type: ignore[arg-type]
        spikes, y = (torch.rand(N_STEPS + 2, BATCH, 3) < 0.4).float(), self.targets()
        sizes = {"layers.0.weight": (6, 3), "layers.1.weight": (5, 6)}
        sizes["readout.weight"] = (model.likelihood.n_outputs, 5)
        weights = {
            name: torch.rand(sizes[name]).mul(2).sub(1).requires_grad_() for name in model.weight_sites
        }
        trace = poutine.trace(poutine.condition(model, data=weights)).get_trace(spikes, y)
        loss = -torch.as_tensor(trace.log_prob_sum())
        assert bool(loss.isfinite())
        for gradient in torch.autograd.grad(loss, list(weights.values())):
            assert bool(gradient.isfinite().all())
        free = poutine.trace(poutine.condition(model, data=weights)).get_trace(spikes)
        site: dict[str, Any] = free.nodes["y"]  # type: ignore[assignment]
        assert not site["is_observed"]
        assert site["value"].shape[0] == BATCH
