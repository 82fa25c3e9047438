"""Draws of a guide, in training and in evaluation."""

from __future__ import annotations

import torch
from pyro.infer import Predictive

from bisnn_pyro.testing.guides.base import GuideSuite


class DrawSuite(GuideSuite):
    """What calling it gives."""

    def test_training_draws(self) -> None:
        """Differentiable, of the site's shape, inside [-1, 1] if binary; only a point repeats itself."""
        _, guide = self.ready()
        guide.train()
        first, second = guide(*self.data()), guide(*self.data())
        for name, shape in self._shapes(guide).items():
            assert first[name].shape == shape
            assert first[name].requires_grad
            assert bool(first[name].isfinite().all())
            assert not guide.binary or bool((first[name].abs() <= 1).all())
            assert torch.equal(first[name], second[name]) == guide.point

    def test_evaluation_draws(self) -> None:
        """Draws of the posterior: hard +-1 if binary."""
        _, guide = self.ready()
        guide.eval()
        first, second = guide(*self.data()), guide(*self.data())
        for name, shape in self._shapes(guide).items():
            assert first[name].shape == shape
            assert not guide.binary or bool((first[name].abs() == 1).all())
            assert torch.equal(first[name], second[name]) == guide.point

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
            assert not guide.binary or bool((out[name].abs() == 1).all())
