"""The rank-one mixture: its contract as a guide, its marginals, and how components share draws."""

import math
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch.distributions import kl_divergence

from bisnn_pyro.distributions import SignBernoulli
from bisnn_pyro.errors import ModelError
from bisnn_pyro.inference import AutoRankOneMixture, MeanFieldELBO
from bisnn_pyro.testing import GuideContract


class TestRankOneMixture(GuideContract):
    def make(self, model):
        return AutoRankOneMixture(model, components=3, spread=0.7)

    def component_kls(self, guide):
        kls = torch.zeros(3)
        for name in guide.sites:
            natural = guide.component_parameters(name).detach()
            prior = self.prior().distribution(natural.shape[1:]).base_dist.natural
            kls += kl_divergence(SignBernoulli(natural), SignBernoulli(prior.expand_as(natural))).sum(
                (-2, -1)
            )
        return kls

    def test_free_energy(self):
        """The KL of one draw is its component's; of three vectorised draws their mean."""
        model, guide = self.ready()
        kls = self.component_kls(guide)
        energy = MeanFieldELBO(max_plate_nesting=1).free_energy(model, guide, *self.data())
        assert float((kls - energy.kl.detach()).abs().min()) < 1e-4
        elbo = MeanFieldELBO(num_particles=3, vectorize_particles=True, max_plate_nesting=1)
        energy = elbo.free_energy(model, guide, *self.data())
        energy.loss.backward()
        assert math.isclose(float(energy.kl.detach()), float(kls.mean()), rel_tol=1e-5)
        of_marginals = sum(
            float(kl_divergence(q, self.prior().distribution(q.event_shape)).detach())
            for q in guide.posterior().values()
        )
        assert of_marginals < float(kls.mean())
        assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in guide.parameters())

    def test_the_mean_is_that_of_the_components(self):
        _, guide = self.ready()
        for name, mean in guide.mean().items():
            expected = torch.tanh(guide.component_parameters(name)).mean(0)
            assert torch.allclose(mean, expected, atol=1e-6)

    def test_members_are_of_each_component_in_turn(self):
        """Means of 600 members each, within five standard errors (10^-6 per synapse by chance)."""
        _, guide = self.ready()
        draws = guide.sample_posterior(1800, seed=0)
        for name in guide.sites:
            means = torch.tanh(guide.component_parameters(name)).detach()
            for m in range(3):
                error = (draws[name][m::3].mean(0) - means[m]).abs()
                assert bool((error <= 5 * ((1 - means[m] ** 2) / 600).sqrt() + 1e-6).all())

    def test_sites_share_the_component_of_a_draw(self):
        """With far-apart components each draw shows its component, the same in every site."""
        _, guide = self.ready()
        with torch.no_grad():
            for name in guide.sites:
                guide.parameter("natural", name).zero_()
                guide.parameter("input", name).fill_(1.0)
                values = torch.tensor([-9.0, 0.0, 9.0])[:, None]
                guide.parameter("output", name).copy_(values.expand_as(guide.parameter("output", name)))
        guide.eval()
        for _ in range(12):
            means = [float(w.mean()) for w in guide(*self.data()).values()]
            levels = [-1 if mean < -0.99 else 1 if mean > 0.99 else 0 for mean in means]
            assert len(set(levels)) == 1

    def test_wrong_settings(self):
        with pytest.raises(ModelError, match="at least 1"):
            AutoRankOneMixture(self.model(), components=0)

    def test_members_drawn_in_threads_are_those_drawn_in_turn(self):
        """Committees draw members in a pool of threads."""
        _, guide = self.ready()
        with ThreadPoolExecutor(8) as pool:
            drawn = list(pool.map(lambda i: guide.sample_posterior(1, seed=0, first=i), range(200)))
        expected = guide.sample_posterior(200, seed=0)
        for name in guide.sites:
            assert torch.equal(torch.cat([one[name] for one in drawn]), expected[name])
