"""What every guide must do, as a suite for pytest.

Subclass it in a test file and define how to make the guide, and its prior::

    class TestMyGuide(GuideContract):
        def make(self, model):
            return MyGuide(model)

        def prior(self):
            return NormalPrior()
"""

from __future__ import annotations

import copy
import io
import math
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from pyro.infer import SVI, Predictive
from pyro.infer.autoguide import AutoGuide, AutoGuideList
from pyro.optim import PyroOptim
from torch import Tensor
from torch.distributions import kl_divergence

from bisnn_pyro.distributions import Perturbed
from bisnn_pyro.errors import ModelError
from bisnn_pyro.inference import AutoMeanFieldGaussian, AutoRelaxedSign, MeanFieldELBO, SynapticGuide
from bisnn_pyro.models import BinaryPrior, CategoricalRate, NormalPrior, Prior, SpikingGLM
from bisnn_pyro.testing.state import OwnState

Model = Callable[..., Any]


def objectives() -> Iterator[MeanFieldELBO]:
    """Yield the free energy of one draw, of three looped and of three vectorised; an empty store for each."""
    for n, vectorise in ((1, False), (3, False), (3, True)):
        pyro.clear_param_store()
        yield MeanFieldELBO(num_particles=n, vectorize_particles=vectorise, max_plate_nesting=1)


class GuideContract(OwnState):
    """The tests; each is independent and takes milliseconds.

    They run in a parameter store and a random state of their own, and leave the caller's as they were.
    A posterior with an exception to the rules overrides what states the rule: ``is_draw``, ``repeats``,
    ``ignores_the_seed``, ``trained``.
    """

    ignores_the_seed = False
    """Whether members are a fixed list, the same for every seed."""

    def make(self, model: Model) -> SynapticGuide:
        """Return a fresh guide for a model; to be overridden."""
        raise NotImplementedError("define make() to return the guide to test")

    def prior(self) -> Prior:
        """Return a prior that the guide is for; override it for real-valued synapses."""
        return BinaryPrior(0.6)

    def model(self) -> SpikingGLM:
        """Return a tiny model, whose synapses all have this prior."""
        return SpikingGLM(
            3, [4], CategoricalRate(2), prior=self.prior(), credit="end-to-end", readout="trained"
        )

    def data(self) -> tuple[Tensor, Tensor]:
        """Return input spikes ``[T, B, I]`` and labels ``[B]``."""
        generator = torch.Generator().manual_seed(self.seed)
        spikes = (torch.rand(8, 5, 3, generator=generator) < 0.5).float()
        return spikes, torch.arange(5) % 2

    def ready(self, model: SpikingGLM | None = None) -> tuple[SpikingGLM, SynapticGuide]:
        """Return a model and a guide that has its parameters."""
        model = model or self.model()
        guide = self.make(model)
        guide.initialize(*self.data())
        return model, guide

    def is_draw(self, w: Tensor, *, training: bool = False) -> bool:
        """Return whether a draw may have these values: +-1 if binary, in [-1, 1] in training."""
        if not self.prior().binary:
            return True
        return bool((w.abs() <= 1).all() if training else (w.abs() == 1).all())

    def repeats(self, guide: SynapticGuide, name: str, *, training: bool = False) -> bool:
        """Return whether all draws of a site are the same, as those of a point are."""
        return guide.point

    def trained(self, guide: SynapticGuide) -> dict[str, dist.TorchDistribution]:
        """Return the distributions whose KL is in the loss: the posterior."""
        return guide.posterior()

    @staticmethod
    def _shapes(guide: SynapticGuide) -> dict[str, torch.Size]:
        return {name: w.shape for name, w in guide.mode().items()}

    @staticmethod
    def _same_draws(one: SynapticGuide, other: SynapticGuide) -> None:
        assert one.sites == other.sites
        first, second = (guide.sample_posterior(3, seed=9) for guide in (one, other))
        assert all(torch.equal(first[name], second[name]) for name in one.sites)

    # -- making its parameters ---------------------------------------------------------------------

    def test_is_an_autoguide(self) -> None:
        """It works wherever Pyro's guides do, and does not own the model's parameters."""
        model = self.model()
        guide = self.make(model)
        assert isinstance(guide, AutoGuide)
        assert isinstance(guide, SynapticGuide)
        assert guide.model is model
        guide.initialize(*self.data())
        theirs = {id(p) for p in model.parameters()}
        assert not any(id(p) in theirs for p in guide.parameters())

    def test_prior_is_of_the_guides_kind(self) -> None:
        """``binary`` is true of guides over binary synapses."""
        assert self.make(self.model()).binary == self.prior().binary

    def test_errors_before_initialisation(self) -> None:
        """Methods that need parameters raise an error that explains how to make them."""
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

    # -- draws -------------------------------------------------------------------------------------

    def test_training_draws(self) -> None:
        """Differentiable, of the site's shape and range; only a point repeats itself."""
        _, guide = self.ready()
        guide.train()
        draws = [guide(*self.data()) for _ in range(4)]  # of a few synapses, two may be equal by chance
        for name, shape in self._shapes(guide).items():
            first, *others = (draw[name] for draw in draws)
            assert first.shape == shape
            assert first.requires_grad
            assert bool(dense(first).isfinite().all())
            assert isinstance(first, Perturbed) or self.is_draw(first, training=True)
            alike = all(torch.equal(dense(first), dense(other)) for other in others)
            assert alike == self.repeats(guide, name, training=True)

    def test_evaluation_draws(self) -> None:
        """Draws of the posterior: hard +-1 if binary."""
        _, guide = self.ready()
        guide.eval()
        first, second = guide(*self.data()), guide(*self.data())
        for name, shape in self._shapes(guide).items():
            assert first[name].shape == shape
            assert self.is_draw(first[name])
            assert torch.equal(first[name], second[name]) == self.repeats(guide, name)

    def test_predictive_draws_are_hard(self) -> None:
        """Pyro's ``Predictive`` sees the evaluation draws, one committee member per row."""
        model, guide = self.ready()
        model.eval()
        spikes, _ = self.data()
        sites = [*guide.sites, "y"]
        with torch.no_grad():
            out = Predictive(model, guide=guide.eval(), num_samples=6, parallel=True, return_sites=sites)(
                spikes
            )
        assert out["y"].shape == (6, 5)
        for name, shape in self._shapes(guide).items():
            assert out[name].reshape(6, *shape).shape == out[name].squeeze(1).shape
            assert self.is_draw(out[name])

    # -- the posterior that the guide stands for ---------------------------------------------------

    def test_posterior(self) -> None:
        """A distribution per site, all dimensions as the event, of which ``mean`` is the mean."""
        _, guide = self.ready()
        mean = guide.mean()
        for name, shape in self._shapes(guide).items():
            q = guide.posterior()[name]
            assert q.batch_shape == ()
            assert q.event_shape == shape
            assert torch.equal(mean[name], q.mean.detach())

    def test_mode(self) -> None:
        """A network of the model, at least as probable as any draw; ``median`` is its other name."""
        _, guide = self.ready()
        mode, median = guide.mode(), guide.median()
        draws = guide.sample_posterior(20, seed=0)
        for name, shape in self._shapes(guide).items():
            assert mode[name].shape == shape
            assert not mode[name].requires_grad
            assert torch.equal(mode[name], median[name])
            assert not guide.binary or bool((mode[name].abs() == 1).all())
            q = guide.posterior()[name]
            assert bool((q.log_prob(mode[name]) >= q.log_prob(draws[name]) - 1e-5).all())

    def test_natural_parameters(self) -> None:
        """Lambda with mean tanh(lambda); for a Gaussian (m / s^2, -1 / 2 s^2); none for a real point."""
        _, guide = self.ready()
        if guide.point and not guide.binary:
            with raises(ModelError, "natural"):
                guide.natural_parameters()
            return
        mean, mode = guide.mean(), guide.mode()
        for name, natural in guide.natural_parameters().items():
            assert not natural.requires_grad
            if guide.binary:
                assert natural.shape == mean[name].shape
                assert torch.allclose(torch.tanh(natural), mean[name], atol=1e-6)
                assert torch.equal(natural >= 0, mode[name] > 0)
            else:
                first, second = natural
                assert torch.allclose(-0.5 * first / second, mean[name], rtol=1e-4, atol=1e-6)
                deviation = guide.posterior()[name].stddev
                assert torch.allclose((-0.5 / second).sqrt(), deviation, rtol=1e-4)

    def test_sample_posterior(self) -> None:
        """Hard draws ``[n, O, I]``, fixed by the seed, in train and eval alike."""
        _, guide = self.ready()
        draws = guide.train().sample_posterior(4, seed=3)
        again = guide.eval().sample_posterior(4, seed=3)
        other = guide.sample_posterior(4, seed=4)
        for name, shape in self._shapes(guide).items():
            assert draws[name].shape == (4, *shape)
            assert not draws[name].requires_grad
            assert self.is_draw(draws[name])
            assert torch.equal(draws[name], again[name])
            fixed = self.repeats(guide, name)
            assert torch.equal(draws[name], other[name]) == (fixed or self.ignores_the_seed)
            assert torch.equal(draws[name][0], draws[name][1]) == fixed

    def test_sample_posterior_follows_the_posterior(self) -> None:
        """The average of many draws is the mean, within six standard errors of each synapse."""
        _, guide = self.ready()
        n = 500
        mean, draws = guide.mean(), guide.sample_posterior(n, seed=0)
        for name in guide.sites:
            error = (draws[name].mean(0) - mean[name]).abs()
            fixed = self.repeats(guide, name)
            deviation = torch.zeros(()) if fixed else guide.posterior()[name].variance.detach().sqrt()
            assert bool((error <= 6 * deviation / math.sqrt(n) + 1e-5).all())

    def test_sample_posterior_in_pieces(self) -> None:
        """A committee drawn in pieces is the committee drawn at once."""
        _, guide = self.ready()
        whole = guide.sample_posterior(7, seed=5)
        for cut in (1, 4):
            left = guide.sample_posterior(cut, seed=5)
            right = guide.sample_posterior(7 - cut, seed=5, first=cut)
            for name in guide.sites:
                assert torch.equal(torch.cat((left[name], right[name])), whole[name])

    def test_latin_hypercube_follows_the_posterior(self) -> None:
        """Each member is an exact draw: over many committees it averages to the mean (six errors)."""
        _, guide = self.ready()
        n = 500
        for size in (1, 4):  # of one member, and of fewer than the strata
            draws = [
                guide.sample_posterior(1, seed=s, first=size - 1, scheme="latin-hypercube", of=size)
                for s in range(n)
            ]
            for name in guide.sites:
                found = torch.cat([draw[name] for draw in draws])
                if not guide.stratifies:
                    alone = [guide.sample_posterior(1, seed=s, first=size - 1)[name] for s in range(n)]
                    assert torch.equal(found, torch.cat(alone))
                    continue
                q = guide.posterior()[name]
                deviation = torch.zeros(()) if guide.point else q.variance.detach().sqrt()
                error = (found.mean(0) - guide.mean()[name]).abs()
                assert bool((error <= 6 * deviation / math.sqrt(n) + 1e-5).all())
                assert not guide.binary or bool((found.abs() == 1).all())

    def test_latin_hypercube_spreads_its_members(self) -> None:
        """Their average varies over seeds less than half as much as that of independent draws, or not at all.

        A guide that does not stratify draws exactly the independent members.
        """
        _, guide = self.ready()

        def average(seed: int, scheme: str) -> Tensor:
            draws = guide.sample_posterior(7, seed=seed, scheme=scheme)
            return torch.cat([draws[name].mean(0).flatten() for name in sorted(guide.sites)])

        latin, independent = (
            torch.stack([average(s, scheme) for s in range(40)])
            for scheme in ("latin-hypercube", "independent")
        )
        if not guide.stratifies:
            assert torch.equal(latin, independent)
        else:
            assert float(latin.var(0).mean()) < 0.5 * float(independent.var(0).mean())

    def test_latin_hypercube_in_pieces(self) -> None:
        """A committee drawn in pieces of a known whole is the committee drawn at once; a seed is another."""
        _, guide = self.ready()
        latin: dict[str, Any] = {"scheme": "latin-hypercube", "of": 7}
        whole = guide.sample_posterior(7, seed=5, scheme="latin-hypercube")
        other = guide.sample_posterior(7, seed=6, scheme="latin-hypercube")
        for cut in (1, 4):
            left = guide.sample_posterior(cut, seed=5, **latin)
            right = guide.sample_posterior(7 - cut, seed=5, first=cut, **latin)
            for name in guide.sites:
                assert torch.equal(torch.cat((left[name], right[name])), whole[name])
                same = self.repeats(guide, name) or self.ignores_the_seed
                assert torch.equal(whole[name], other[name]) == same
        with raises(ModelError, "no member 7"):
            guide.sample_posterior(1, seed=5, first=7, **latin)
        with raises(ModelError, "scheme"):
            guide.sample_posterior(1, seed=5, scheme="cubes")

    def test_sample_posterior_leaves_the_global_random_state(self) -> None:
        """And does not depend on it."""
        _, guide = self.ready()
        torch.manual_seed(1)
        state = torch.get_rng_state()
        first = guide.sample_posterior(3, seed=0)
        assert torch.equal(torch.get_rng_state(), state)
        torch.manual_seed(2)
        second = guide.sample_posterior(3, seed=0)
        assert all(torch.equal(first[name], second[name]) for name in guide.sites)

    # -- copies, pickled guides and state dicts ----------------------------------------------------

    def test_deepcopy(self) -> None:
        """Same values, parameters of its own, the same model; the original is as it was."""
        model, guide = self.ready()
        before = {name: p.detach().clone() for name, p in guide.named_parameters()}
        identities = [id(p) for p in guide.parameters()]
        twin = copy.deepcopy(guide)
        assert guide.model is model
        assert twin.model is model
        assert [id(p) for p in guide.parameters()] == identities
        assert not set(identities) & {id(p) for p in twin.parameters()}
        self._same_draws(guide, twin)
        with torch.no_grad():
            for p in twin.parameters():
                p.add_(1.0)
        assert all(torch.equal(p, before[name]) for name, p in guide.named_parameters())
        guide(*self.data())

    def test_deepcopy_before_initialisation(self) -> None:
        """A fresh guide can be copied too, and both can then be used."""
        model = self.model()
        guide = self.make(model)
        twin = copy.deepcopy(guide)
        for each in (guide, twin):
            each.initialize(*self.data())
            assert each.model is model
            assert tuple(each.sites) == model.weight_sites

    def test_deepcopy_together_with_the_model(self) -> None:
        """A model copied together with its guide is a copy, in either order."""
        model, guide = self.ready()
        for pair in ([model, guide], [guide, model]):
            for old, new in zip(pair, copy.deepcopy(pair), strict=True):
                assert new is not old
                assert type(new) is type(old)
        model_copy, guide_copy = copy.deepcopy([model, guide])
        assert guide_copy.model is model_copy
        assert guide.model is model

    def test_saving_does_not_damage_the_original(self) -> None:
        """``torch.save`` and pickle leave the guide working, and give its posterior back."""
        model, guide = self.ready()
        buffer = io.BytesIO()
        torch.save(guide, buffer)
        buffer.seek(0)
        copies = [torch.load(buffer, weights_only=False), pickle.loads(pickle.dumps(guide))]
        assert guide.model is model
        guide(*self.data())
        guide.initialize(*self.data())
        for twin in copies:
            self._same_draws(guide, twin)

    def test_state_dict_loads_into_a_fresh_guide(self) -> None:
        """One that never ran; the same bits come out of it, before and after its first call."""
        model, guide = self.ready()
        with torch.no_grad():
            for p in guide.parameters():
                p.add_(0.3 * torch.randn_like(p))
        buffer = io.BytesIO()
        torch.save(guide.state_dict(), buffer)
        buffer.seek(0)
        fresh = self.make(model)
        fresh.load_state_dict(torch.load(buffer, weights_only=True))
        self._same_draws(guide, fresh)
        fresh.initialize(*self.data())
        self._same_draws(guide, fresh)
        pyro.clear_param_store()
        torch.manual_seed(0)
        expected = guide.train()(*self.data())
        pyro.clear_param_store()
        torch.manual_seed(0)
        draws = fresh.train()(*self.data())
        assert all(torch.equal(dense(draws[name]), dense(expected[name])) for name in guide.sites)

    def test_order_of_a_state_dict_does_not_matter(self) -> None:
        """A file sorts its entries as it likes; members and sites are the model's all the same."""
        model, guide = self.ready()
        fresh = self.make(model)
        fresh.load_state_dict(dict(reversed(guide.state_dict().items())))
        first, second = (each.sample_posterior(2, seed=9) for each in (guide, fresh))
        assert all(torch.equal(first[name], second[name]) for name in guide.sites)
        fresh.initialize(*self.data())
        assert tuple(fresh.sites) == model.weight_sites

    def test_state_dict_of_another_shape_is_refused(self) -> None:
        """A guide that has its parameters keeps their shapes."""
        _, guide = self.ready()
        n_inputs = self.data()[0].shape[-1]
        other = SpikingGLM(
            n_inputs, [5], CategoricalRate(2), prior=self.prior(), credit="end-to-end", readout="trained"
        )
        _, larger = self.ready(other)
        with raises(RuntimeError, "size mismatch"):
            guide.load_state_dict(larger.state_dict())

    # -- in pyro's hands: objectives, optimisers, lists of guides ----------------------------------

    def mixed(self) -> tuple[Model, AutoGuideList]:
        """Return a model with a site of this guide and one of another, and a list of the two guides."""
        mine = self.prior()
        other: Prior = NormalPrior() if mine.binary else BinaryPrior()

        def model(y: Tensor | None = None) -> None:
            w = pyro.sample("mine", mine.distribution((2, 3)))
            v = pyro.sample("other", other.distribution((4,)))
            with pyro.plate("data", 5, dim=-1):
                pyro.sample("y", dist.Normal(dense(w).sum((-2, -1)) + dense(v).sum(-1), 1.0), obs=y)

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
            for q in self.trained(guide).values()
        )
        for elbo in objectives():
            guide.zero_grad()
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
        for elbo in objectives():
            with module_local_params(True):
                model, guide = self.ready()
                before = [p.detach().clone() for p in guide.parameters()]
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
        for elbo in objectives():
            model, guides = self.mixed()
            y = torch.linspace(-1.0, 1.0, 5)
            draws = guides(y)
            assert {name: tuple(w.shape) for name, w in draws.items()} == {"mine": (2, 3), "other": (4,)}
            parts: list[Any] = list(guides)
            assert [set(part.sites) for part in parts] == [{"mine"}, {"other"}]
            energy = elbo.free_energy(model, guides, y)
            energy.loss.backward()
            assert set(energy.sites) == {"mine", "other", "y"}
            assert all(p.grad is not None for p in guides.parameters())
        assert set(guides.median(y)) == {"mine", "other"}
        binary = "mine" if self.prior().binary else "other"
        draw = guides.eval()(y)[binary]
        assert self.is_draw(draw) if binary == "mine" else bool((draw.abs() == 1).all())
        _, fresh = self.mixed()
        fresh.load_state_dict(guides.state_dict())
        copies: list[Any] = list(fresh)
        for old, new in zip(parts, copies, strict=True):
            self._same_draws(old, new)


def dense(draw: Tensor | Perturbed) -> Tensor:
    """Return a training draw as one network."""
    return draw.shared() if isinstance(draw, Perturbed) else draw


@contextmanager
def raises(kind: type[BaseException], words: str = "") -> Iterator[None]:
    """Expect an error whose message contains ``words``."""
    message = None
    try:
        yield
    except kind as error:
        message = str(error)
    assert message is not None, f"{kind.__name__} expected"
    assert words in message, f"the message does not contain {words!r}: {message}"


@contextmanager
def module_local_params(value: bool) -> Iterator[None]:
    """Set Pyro's switch and put it back."""
    before = pyro.settings.get("module_local_params")
    pyro.settings.set(module_local_params=value)
    try:
        yield
    finally:
        pyro.settings.set(module_local_params=before)
