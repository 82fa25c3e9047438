"""The free energy: against the closed form, against Pyro's own ELBO, and what it refuses."""

import math
import re

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.distributions.relaxed_straight_through import RelaxedBernoulliStraightThrough
from pyro.infer import TraceMeanField_ELBO

from bisnn_pyro.distributions import HardRelaxedSignBernoulli, RelaxedSignBernoulli, SignBernoulli
from bisnn_pyro.errors import EstimatorError
from bisnn_pyro.inference import (
    AutoMeanFieldGaussian,
    AutoRelaxedSign,
    AutoStraightThrough,
    FreeEnergy,
    MeanFieldELBO,
)
from bisnn_pyro.models import BinaryPrior, NormalPrior
from tests.inference.tiny import make_network, make_spikes, make_targets

PARTICLES = [(1, False), (1, True), (5, False), (5, True)]
Y = torch.linspace(-1.0, 1.0, 4, dtype=torch.float64)
PRIOR = torch.tensor([[0.3, -0.2, 0.0], [1.5, -1.0, 0.1]], dtype=torch.float64)
NATURAL = torch.tensor([[0.5, -2.0, 0.0], [3.0, 0.2, -0.7]], dtype=torch.float64)
CONSTANT = 7.25


def make_elbo(n=1, vectorise=False, nesting=1, **options):
    return MeanFieldELBO(num_particles=n, vectorize_particles=vectorise, max_plate_nesting=nesting, **options)


def bernoulli_kl(natural, prior):
    """KL of two sign-Bernoullis by summing over the two values."""
    q, p = torch.sigmoid(2 * natural), torch.sigmoid(2 * prior)
    return (q * (q / p).log() + (1 - q) * ((1 - q) / (1 - p)).log()).sum()


class Pair:
    """A model over one matrix of synapses, and its guide; both plain functions.

    ``plate``: none, around the data, or around the rows of the synapses too.
    """

    def __init__(self, plate="none", constant=True, relaxed=RelaxedSignBernoulli):
        self.plate, self.constant, self.relaxed = plate, constant, relaxed
        self.natural = NATURAL.clone().requires_grad_()

    def sites(self, draw):
        if self.plate == "rows":
            with pyro.plate("rows", 2, dim=-1):
                return pyro.sample("w", draw.to_event(1)).sum((-1, -2))
        return pyro.sample("w", draw.to_event(2)).sum((-1, -2))

    def model(self):
        total = self.sites(SignBernoulli(PRIOR))
        loc = torch.zeros(()) if self.constant else 0.1 * total
        if self.plate == "none":
            loc = loc.unsqueeze(-1)
            pyro.sample("y", dist.Normal(loc.expand(*loc.shape[:-1], 4), 1.0).to_event(1), obs=Y)
        else:
            with pyro.plate("data", 4, dim=-1):  # loc is [], or [S, 1] under the particle plate
                pyro.sample("y", dist.Normal(loc, torch.ones(())), obs=Y)

    def guide(self):
        self.sites(self.relaxed(torch.tensor(0.7, dtype=torch.float64), self.natural))


def constant_nll():
    return float(-dist.Normal(torch.zeros(4), torch.ones(4)).log_prob(Y).sum())


class TestClosedForm:
    @pytest.mark.parametrize(("n", "vectorise"), PARTICLES)
    @pytest.mark.parametrize("plate", ["none", "data", "rows"])
    @pytest.mark.parametrize("beta", [1.0, 0.1, 0.0])
    def test_constant_likelihood(self, n, vectorise, plate, beta):
        pair = Pair(plate)
        elbo = make_elbo(n, vectorise, nesting=0 if plate == "none" else 1, kl_weight=beta)
        first, second = (elbo.loss(pair.model, pair.guide) for _ in range(2))
        assert first == second
        closed = beta * float(bernoulli_kl(NATURAL, PRIOR))
        assert first - constant_nll() == pytest.approx(closed, abs=1e-12)

    @pytest.mark.parametrize(("n", "vectorise"), PARTICLES)
    @pytest.mark.parametrize("relaxed", [RelaxedSignBernoulli, HardRelaxedSignBernoulli])
    def test_kl_gradient(self, n, vectorise, relaxed):
        pair = Pair(relaxed=relaxed)
        make_elbo(n, vectorise, 0).loss_and_grads(pair.model, pair.guide)
        exact = (NATURAL - PRIOR) * (1 - torch.tanh(NATURAL) ** 2)
        torch.testing.assert_close(pair.natural.grad, exact, rtol=1e-10, atol=1e-12)

    @pytest.mark.parametrize(("n", "vectorise"), PARTICLES)
    @pytest.mark.parametrize("credit", ["local", "end-to-end"])
    def test_network_in_float32(self, n, vectorise, credit):
        # A network with every read-out at 0 has a constant likelihood: log 3 a scored layer and example.
        net = make_network(hidden=(5, 4), prior=BinaryPrior(0.7), credit=credit, readout_gain=0.0)
        net.dataset_size = 60
        guide = AutoRelaxedSign(net, init_scale=2.0)
        args = make_spikes(), make_targets()
        guide.initialize(*args)
        elbo = make_elbo(n, vectorise, kl_weight=0.5)
        first, second = (elbo.loss(net, guide, *args) for _ in range(2))
        assert first == second
        prior = 0.5 * math.log(0.7 / 0.3)
        closed = sum(
            float(bernoulli_kl(lam.double(), torch.tensor(prior).double()))
            for lam in guide.natural_parameters().values()
        )
        scored = 2 if credit == "local" else 1
        assert first - 60 * scored * math.log(3) == pytest.approx(0.5 * closed, rel=1e-4)

    @pytest.mark.parametrize(("n", "vectorise"), PARTICLES)
    def test_gaussian_and_point(self, n, vectorise):
        args = make_spikes(), make_targets()
        net = make_network(prior=NormalPrior(0.8), readout_gain=0.0)
        guide = AutoMeanFieldGaussian(net, init_deviation=0.3)
        guide.initialize(*args)
        q = guide.posterior()["layers.0.weight"]
        m, s = q.mean.detach().double(), q.stddev.detach().double()
        closed = (torch.log(0.8 / s) + (s**2 + m**2) / (2 * 0.64) - 0.5).sum()
        energy = make_elbo(n, vectorise).free_energy(net, guide, *args)
        assert float(energy.kl.detach()) == pytest.approx(float(closed), rel=1e-5)

        net = make_network(prior=BinaryPrior(0.7), readout_gain=0.0)
        point = AutoStraightThrough(net)
        point.initialize(*args)
        up = int((point.mode()["layers.0.weight"] > 0).sum())
        closed = -(up * math.log(0.7) + (20 - up) * math.log(0.3))
        energy = make_elbo(n, vectorise).free_energy(net, point, *args)
        assert float(energy.kl.detach()) == pytest.approx(closed, rel=1e-5)


class TestAgainstPyro:
    @pytest.mark.parametrize(("n", "vectorise"), [(1, False), (3, False), (3, True)])
    @pytest.mark.parametrize("plate", ["none", "data"])
    def test_same_loss_and_gradient(self, n, vectorise, plate):
        results = []
        for kind in (MeanFieldELBO, TraceMeanField_ELBO):
            pair = Pair(plate, constant=False)
            torch.manual_seed(11)
            elbo = kind(
                num_particles=n, vectorize_particles=vectorise, max_plate_nesting=0 if plate == "none" else 1
            )
            loss = elbo.differentiable_loss(pair.model, pair.guide)
            loss.backward()
            results.append((loss.item(), pair.natural.grad))
        assert results[0][0] == pytest.approx(results[1][0], rel=1e-13)
        torch.testing.assert_close(results[0][1], results[1][1], rtol=1e-12, atol=1e-14)

    @pytest.mark.parametrize(("n", "vectorise"), [(1, False), (3, False), (3, True)])
    @pytest.mark.parametrize("credit", ["local", "end-to-end"])
    @pytest.mark.parametrize("likelihood", ["categorical-steps", "spike-train", "gaussian"])
    def test_same_on_a_network(self, n, vectorise, credit, likelihood, local_params):
        net = make_network(likelihood, hidden=(5, 4), prior=BinaryPrior(0.6), credit=credit).double()
        net.dataset_size = 60
        guide = AutoRelaxedSign(net)
        args = make_spikes(dtype=torch.float64), make_targets(likelihood)
        args = args if likelihood != "gaussian" else (args[0], args[1].double())
        guide.initialize(*args)
        results = []
        for kind in (MeanFieldELBO, TraceMeanField_ELBO):
            module = torch.nn.ModuleList([net, guide])
            module.zero_grad()
            torch.manual_seed(11)
            elbo = kind(num_particles=n, vectorize_particles=vectorise, max_plate_nesting=1)
            loss = elbo.loss_and_grads(net, guide, *args)
            grads = {name: p.grad for name, p in module.named_parameters() if p.grad is not None}
            results.append((loss, grads))
        (ours, our_grads), (theirs, their_grads) = results
        assert ours == pytest.approx(theirs, rel=1e-12)
        assert our_grads.keys() == their_grads.keys()
        assert our_grads
        for name in our_grads:
            torch.testing.assert_close(our_grads[name], their_grads[name], rtol=1e-10, atol=1e-12)

    def test_plates_around_the_synapses(self):
        # Scaled and plated latents: rows of the matrix in a subsampled plate.
        natural = NATURAL.clone().requires_grad_()

        def model():
            with pyro.plate("rows", 6, subsample_size=2, dim=-1):
                w = pyro.sample("w", SignBernoulli(PRIOR).to_event(1))
                pyro.sample("y", dist.Normal(w.sum(-1), 1.0), obs=torch.zeros(2))

        def guide():
            with pyro.plate("rows", 6, subsample_size=2, dim=-1):
                pyro.sample("w", RelaxedSignBernoulli(torch.ones(()), natural).to_event(1))

        losses = []
        for kind in (MeanFieldELBO, TraceMeanField_ELBO):
            torch.manual_seed(2)
            losses.append(kind().loss(model, guide))
        assert losses[0] == pytest.approx(losses[1], rel=1e-13)
        energy = MeanFieldELBO().free_energy(model, guide)
        assert float(energy.kl.detach()) == pytest.approx(3 * float(bernoulli_kl(NATURAL, PRIOR)), abs=1e-10)


class TestParts:
    @pytest.mark.parametrize(("n", "vectorise"), [(1, False), (3, False), (3, True)])
    def test_kl_weight_scales_only_the_kl(self, n, vectorise):
        pair = Pair("data", constant=False)
        energies = []
        for beta in (1.0, 0.25):
            torch.manual_seed(4)
            elbo = make_elbo(n, vectorise, kl_weight=beta)
            energies.append(elbo.free_energy(pair.model, pair.guide))
        full, cold = energies
        assert torch.equal(full.nll, cold.nll)
        assert torch.equal(full.kl, cold.kl)
        for energy, beta in ((full, 1.0), (cold, 0.25)):
            assert isinstance(energy, FreeEnergy)
            assert float((energy.nll + beta * energy.kl - energy.loss).detach()) == 0

    @pytest.mark.parametrize(("n", "vectorise"), [(1, False), (3, False), (3, True)])
    def test_sites_add_up(self, n, vectorise):
        net = make_network(hidden=(5, 4))
        guide = AutoRelaxedSign(net)
        args = make_spikes(), make_targets()
        energy = make_elbo(n, vectorise).free_energy(net, guide, *args)
        assert set(energy.sites) == {"layers.0.weight", "layers.1.weight", "local_0", "y"}
        kl = energy.sites["layers.0.weight"] + energy.sites["layers.1.weight"]
        torch.testing.assert_close(kl, energy.kl.detach())
        torch.testing.assert_close(energy.sites["local_0"] + energy.sites["y"], energy.nll.detach())
        assert not any(term.requires_grad for term in energy.sites.values())
        assert energy.output.readouts[-1].shape == ((3, 10, 6, 3) if vectorise else (10, 6, 3))

    def test_particles_are_averaged(self):
        pair = Pair(constant=False)
        torch.manual_seed(5)
        singles = [make_elbo(1, nesting=0).loss(pair.model, pair.guide) for _ in range(4)]
        torch.manual_seed(5)
        assert make_elbo(4, nesting=0).loss(pair.model, pair.guide) == pytest.approx(sum(singles) / 4)

    def test_scale_and_mask_of_observed_sites(self):
        mask = torch.tensor([True, False, True, True])

        def model():
            with pyro.plate("data", 4, dim=-1), poutine.scale(scale=3.0), poutine.mask(mask=mask):
                pyro.sample("y", dist.Normal(0.0, torch.ones(())), obs=Y)

        terms = 0.5 * Y**2 + 0.5 * math.log(2 * math.pi)
        expected = 3.0 * float((terms * mask).sum())
        assert make_elbo().loss(model, lambda: None) == pytest.approx(expected)
        assert TraceMeanField_ELBO(max_plate_nesting=1).loss(model, lambda: None) == pytest.approx(expected)

    def test_scale_and_mask_of_guide_sites(self):
        mask = torch.tensor([True, False])

        def handled(kind):
            q, p = RelaxedSignBernoulli(torch.ones(()), NATURAL), SignBernoulli(PRIOR)
            with pyro.plate("rows", 2), poutine.scale(scale=0.5), poutine.mask(mask=mask):
                pyro.sample("w", (q if kind == "guide" else p).to_event(1))

        elbo = make_elbo()
        loss = elbo.loss(lambda: handled("model"), lambda: handled("guide"))
        assert loss == pytest.approx(0.5 * float(bernoulli_kl(NATURAL[0], PRIOR[0])))

    def test_factor_is_included(self):
        pair = Pair()

        def model():
            pair.model()
            pyro.factor("bonus", torch.tensor(-CONSTANT))

        plain = make_elbo(nesting=0).loss(pair.model, pair.guide)
        assert make_elbo(nesting=0).loss(model, pair.guide) == pytest.approx(plain + CONSTANT)

    def test_only_observed_sites_are_scored(self):
        class NoDensity(SignBernoulli):
            def log_prob(self, value):
                raise AssertionError("the log-probability of a latent site was computed")

        class NoRelaxedDensity(RelaxedSignBernoulli):
            def log_prob(self, value):
                raise AssertionError("the log-density of a guide's site was computed")

        def model():
            pyro.sample("w", NoDensity(PRIOR).to_event(2))

        def guide():
            pyro.sample("w", NoRelaxedDensity(torch.ones(()), NATURAL).to_event(2))

        loss = make_elbo(nesting=0).loss(model, guide)
        assert loss == pytest.approx(float(bernoulli_kl(NATURAL, PRIOR)))
        with pytest.raises(AssertionError, match="was computed"):
            TraceMeanField_ELBO().loss(model, guide)

    def test_guessed_plate_nesting(self):
        net = make_network()
        guide = AutoRelaxedSign(net)
        args = make_spikes(), make_targets()
        elbo = MeanFieldELBO(num_particles=3, vectorize_particles=True)
        assert math.isfinite(elbo.loss(net, guide, *args))
        assert elbo.max_plate_nesting == 2


class TestErrors:
    def expect(self, words, model, guide, *args):
        with pytest.raises(EstimatorError, match=re.escape(words)):
            make_elbo().free_energy(model, guide, *args)

    @pytest.mark.parametrize("validate", [True, False])
    def test_guide_in_eval(self, validate):
        net = make_network()
        guide = AutoRelaxedSign(net).eval()
        with pyro.validation_enabled(validate):
            self.expect("'layers.0.weight'", net, guide, make_spikes(), make_targets())
            self.expect("eval()", net, guide, make_spikes(), make_targets())

    @pytest.mark.parametrize("validate", [True, False])
    def test_no_registered_kl(self, validate):
        def model():
            pyro.sample("w", dist.Bernoulli(torch.full((3,), 0.5), validate_args=False).to_event(1))

        def guide():
            q = RelaxedBernoulliStraightThrough(torch.tensor(0.5), probs=torch.full((3,), 0.4))
            pyro.sample("w", q.to_event(1))

        with pyro.validation_enabled(validate):
            self.expect("'w'", model, guide)
            self.expect("RelaxedBernoulliStraightThrough", model, guide)

    def test_masked_guide(self):
        def model():
            pyro.sample("w", SignBernoulli(PRIOR).to_event(2))

        def guide():
            q = RelaxedSignBernoulli(torch.ones(()), NATURAL).mask(torch.ones(2, 3, dtype=torch.bool))
            pyro.sample("w", q.to_event(2))

        self.expect("MaskedDistribution", model, guide)
        self.expect("'w'", model, guide)

    def test_missing_and_extra_sites(self):
        pair = Pair()
        with pyro.validation_enabled(False):
            self.expect("no site 'w'", pair.model, lambda: None)

            def guide():
                pair.guide()
                pyro.sample("extra", dist.Normal(0.0, 1.0))

            self.expect("'extra' is not in the model", pair.model, guide)

    def test_missing_site_with_validation(self):
        pair = Pair()
        with pytest.warns(UserWarning, match="not guide"), pytest.raises(EstimatorError, match="'w'"):
            make_elbo(nesting=0).free_energy(pair.model, lambda: None)

    def test_discrete_guide_of_another_kind(self):
        def model():
            pyro.sample("w", SignBernoulli(PRIOR).to_event(2))

        def guide():
            pyro.sample("w", SignBernoulli(NATURAL).to_event(2))

        self.expect("reparametrised", model, guide)

    def test_shape_errors_are_found(self):
        def unplated():
            pyro.sample("y", dist.Normal(torch.zeros(4), 1.0), obs=Y)

        def other_shape():
            pyro.sample("w", SignBernoulli(PRIOR.T).to_event(2))

        with pyro.validation_enabled(True):
            with pytest.raises(ValueError, match=r"at site .y."):
                make_elbo().free_energy(unplated, lambda: None)
            with pytest.raises(ValueError, match="disagree at site 'w'"):
                make_elbo(nesting=0).free_energy(other_shape, Pair().guide)

    def test_is_pyros_error_too(self):
        assert issubclass(EstimatorError, NotImplementedError)


def test_no_gradient_no_backward():
    def model():
        pyro.sample("y", dist.Normal(0.0, 1.0), obs=torch.zeros(()))

    loss = make_elbo(nesting=0).loss_and_grads(model, lambda: None)
    assert loss == pytest.approx(0.5 * math.log(2 * math.pi))
