"""The posterior that a guide stands for, by the one interface of all guides."""

from __future__ import annotations

import math

import torch

from bisnn_pyro.errors import ModelError
from bisnn_pyro.testing.guides.base import GuideSuite, raises


class InterfaceSuite(GuideSuite):
    """Posterior, mode, natural parameters, and committees drawn with a seed."""

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
            assert not guide.binary or bool((draws[name].abs() == 1).all())
            assert torch.equal(draws[name], again[name])
            assert torch.equal(draws[name], other[name]) == guide.point
            assert torch.equal(draws[name][0], draws[name][1]) == guide.point

    def test_sample_posterior_follows_the_posterior(self) -> None:
        """The average of many draws is the mean, within six standard errors of each synapse."""
        _, guide = self.ready()
        n = 500
        mean, draws = guide.mean(), guide.sample_posterior(n, seed=0)
        for name in guide.sites:
            error = (draws[name].mean(0) - mean[name]).abs()
            deviation = torch.zeros(()) if guide.point else guide.posterior()[name].variance.detach().sqrt()
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
