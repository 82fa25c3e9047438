"""A guide before it has parameters, and how it gets them."""

from __future__ import annotations

import pyro
from pyro.infer.autoguide import AutoGuide

from bisnn_pyro.errors import ModelError
from bisnn_pyro.inference import SynapticGuide
from bisnn_pyro.models import BinaryPrior, NormalPrior, Prior
from bisnn_pyro.testing.guides.base import GuideSuite, raises


class ConstructionSuite(GuideSuite):
    """From its making to its parameters."""

    def test_is_an_autoguide(self) -> None:
        """It works wherever Pyro's guides do, and the model is no part of its parameters."""
        model = self.model()
        guide = self.make(model)
        assert isinstance(guide, AutoGuide)
        assert isinstance(guide, SynapticGuide)
        assert guide.model is model
        guide.initialize(*self.data())
        theirs = {id(p) for p in model.parameters()}
        assert not any(id(p) in theirs for p in guide.parameters())

    def test_prior_is_of_the_guides_kind(self) -> None:
        """``binary`` says what the draws are."""
        assert self.make(self.model()).binary == self.prior().binary

    def test_errors_before_initialisation(self) -> None:
        """Everything that needs parameters says how to make them."""
        guide = self.make(self.model())
        for method in ("mode", "mean", "median", "posterior"):
            with raises(ModelError, "initialize"):
                getattr(guide, method)()
        with raises(ModelError, "initialize"):
            guide.sample_posterior(2, seed=0)
        with raises(ModelError):
            guide.natural_parameters()

    def test_initialize_makes_every_site(self) -> None:
        """All sites, in the model's order, with finite leaf parameters of their own; twice is once."""
        model, guide = self.ready()
        assert tuple(guide.sites) == model.weight_sites
        before = dict(guide.named_parameters())
        assert before
        assert all(p.is_leaf and p.requires_grad and bool(p.isfinite().all()) for p in before.values())
        guide.initialize(*self.data())
        after = dict(guide.named_parameters())
        assert all(after[name] is p for name, p in before.items())

    def test_first_call_initialises(self) -> None:
        """As with any AutoGuide, calling it is enough."""
        model = self.model()
        guide = self.make(model)
        assert tuple(guide(*self.data())) == model.weight_sites

    def test_refuses_sites_it_does_not_cover(self) -> None:
        """The error names the site: a prior of the other kind, and a site inside a plate."""
        mine = self.prior()
        foreign: Prior = NormalPrior() if mine.binary else BinaryPrior()

        def wrong_prior() -> None:
            pyro.sample("strange site", foreign.distribution((2,)))

        def in_a_plate() -> None:
            with pyro.plate("rows", 2):
                pyro.sample("strange site", mine.distribution((3,)))

        for model in (wrong_prior, in_a_plate):
            with raises(ModelError, "strange site"):
                self.make(model)()
