"""Copies of a guide, pickled guides and state dicts."""

from __future__ import annotations

import copy
import io
import pickle

import pyro
import torch

from bisnn_pyro.models import CategoricalRate, SpikingGLM
from bisnn_pyro.testing.guides.base import GuideSuite, raises


class CopySuite(GuideSuite):
    """A copy draws what the original draws, which stays as it was."""

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
        """A model copied beside its guide is a copy, in either order."""
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
        assert all(torch.equal(draws[name], expected[name]) for name in guide.sites)

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
