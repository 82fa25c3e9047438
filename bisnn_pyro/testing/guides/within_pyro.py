"""A guide in Pyro's hands: objectives, optimisers, and lists of guides."""

from __future__ import annotations

import math
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from pyro.infer import SVI
from pyro.infer.autoguide import AutoGuideList
from pyro.optim import PyroOptim
from torch import Tensor
from torch.distributions import kl_divergence

from bisnn_pyro.inference import AutoMeanFieldGaussian, AutoRelaxedSign, MeanFieldELBO
from bisnn_pyro.models import BinaryPrior, NormalPrior, Prior
from bisnn_pyro.testing.guides.base import GuideSuite, Model, module_local_params

PARTICLES = ((1, False), (3, False), (3, True))
"""(number of particles, vectorised)."""


class PyroSuite(GuideSuite):
    """Free energies, gradients and steps."""

    def mixed(self) -> tuple[Model, AutoGuideList]:
        """Return a model with a site of this guide and one of another, and a list of the two guides."""
        mine = self.prior()
        other: Prior = NormalPrior() if mine.binary else BinaryPrior()

        def model(y: Tensor | None = None) -> None:
            w = pyro.sample("mine", mine.distribution((2, 3)))
            v = pyro.sample("other", other.distribution((4,)))
            with pyro.plate("data", 5, dim=-1):
                pyro.sample("y", dist.Normal(w.sum((-2, -1)) + v.sum(-1), 1.0), obs=y)

        partner = AutoMeanFieldGaussian if mine.binary else AutoRelaxedSign
        guides = AutoGuideList(model)
        guides.append(self.make(poutine.block(model, expose=["mine"])))
        guides.append(partner(poutine.block(model, expose=["other"])))
        return model, guides

    def test_free_energy(self) -> None:
        """KL as in closed form, a finite nll, and a gradient for every parameter, however drawn."""
        model, guide = self.ready()
        expected = sum(
            float(kl_divergence(q, self.prior().distribution(q.event_shape)).detach())
            for q in guide.posterior().values()
        )
        for n, vectorise in PARTICLES:
            guide.zero_grad()
            elbo = MeanFieldELBO(num_particles=n, vectorize_particles=vectorise, max_plate_nesting=1)
            energy = elbo.free_energy(model, guide, *self.data())
            energy.loss.backward()
            assert math.isclose(float(energy.kl.detach()), expected, rel_tol=1e-5, abs_tol=1e-5)
            assert math.isfinite(float(energy.nll.detach()))
            assert set(energy.sites) == {*guide.sites, "y"}
            for p in guide.parameters():
                assert p.grad is not None
                assert bool(p.grad.isfinite().all())

    def test_svi(self) -> None:
        """Works under ``SVI``, whether or not Pyro keeps parameters in its global store."""
        for local in (False, True):
            pyro.clear_param_store()
            with module_local_params(local):
                model, guide = self.ready()
                before = [p.detach().clone() for p in guide.parameters()]
                svi = SVI(model, guide, PyroOptim(torch.optim.Adam, {"lr": 0.05}), MeanFieldELBO())
                losses = [svi.step(*self.data()) for _ in range(3)]
                assert all(math.isfinite(loss) for loss in losses)
                assert math.isfinite(svi.evaluate_loss(*self.data()))
                after = list(guide.parameters())
                assert all(not torch.equal(p, q) for p, q in zip(before, after, strict=True))
                in_store = len(list(pyro.get_param_store().keys()))
                assert (in_store == 0) == local

    def test_elbo_module(self) -> None:
        """Works under ``ELBOModule`` with a torch optimiser, for one draw and several."""
        for n, vectorise in PARTICLES:
            pyro.clear_param_store()
            with module_local_params(True):
                model, guide = self.ready()
                before = [p.detach().clone() for p in guide.parameters()]
                elbo = MeanFieldELBO(num_particles=n, vectorize_particles=vectorise, max_plate_nesting=1)
                module = elbo(model, guide)
                optimiser = torch.optim.SGD(module.parameters(), lr=0.01)
                for _ in range(2):
                    optimiser.zero_grad()
                    module(*self.data()).backward()
                    optimiser.step()
                after = list(guide.parameters())
                assert all(not torch.equal(p, q) for p, q in zip(before, after, strict=True))

    def test_in_a_guide_list(self) -> None:
        """Beside another guide, each on its own sites: draws, free energy, evaluation, state_dict."""
        for n, vectorise in PARTICLES:
            pyro.clear_param_store()
            model, guides = self.mixed()
            y = torch.linspace(-1.0, 1.0, 5)
            draws = guides(y)
            assert {name: tuple(w.shape) for name, w in draws.items()} == {"mine": (2, 3), "other": (4,)}
            parts: list[Any] = list(guides)
            assert [set(part.sites) for part in parts] == [{"mine"}, {"other"}]
            elbo = MeanFieldELBO(num_particles=n, vectorize_particles=vectorise, max_plate_nesting=1)
            energy = elbo.free_energy(model, guides, y)
            energy.loss.backward()
            assert set(energy.sites) == {"mine", "other", "y"}
            assert all(p.grad is not None for p in guides.parameters())
        assert set(guides.median(y)) == {"mine", "other"}
        binary = "mine" if self.prior().binary else "other"
        assert bool((guides.eval()(y)[binary].abs() == 1).all())
        _, fresh = self.mixed()
        fresh.load_state_dict(guides.state_dict())
        copies: list[Any] = list(fresh)
        for old, new in zip(parts, copies, strict=True):
            self._same_draws(old, new)
