"""Binary synapses as sample sites of a Pyro model."""

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import Predictive, Trace_ELBO, TraceEnum_ELBO, TraceMeanField_ELBO, config_enumerate
from pyro.infer.autoguide import AutoDelta, AutoNormal

from bisnn_pyro.distributions import HardRelaxedSignBernoulli, RelaxedSignBernoulli, SignBernoulli, SignKL

LEVEL = -3.25


@pytest.fixture(autouse=True)
def _clean_store():
    pyro.clear_param_store()
    yield
    pyro.clear_param_store()


def model():
    """Constant likelihood: whatever the weights, the loss less the KL is -LEVEL."""
    w = pyro.sample("w", SignBernoulli(torch.tensor(0.2)).expand((3, 4)).to_event(2))
    with pyro.plate("data", 5):
        pyro.factor("level", torch.full((5,), LEVEL / 5) + 0 * w.sum((-2, -1)).unsqueeze(-1).mean())


NATURAL = torch.linspace(-3, 3, 12).reshape(3, 4)


def guide(family=RelaxedSignBernoulli):
    pyro.sample("w", family(0.5, NATURAL).to_event(2))


@pytest.mark.parametrize("autoguide", [AutoNormal, AutoDelta])
def test_continuous_autoguides_refuse_the_site(autoguide):
    with pytest.raises(ValueError, match="Continuous inference cannot handle discrete sample site 'w'"):
        autoguide(model)()


@pytest.mark.parametrize("family", [RelaxedSignBernoulli, HardRelaxedSignBernoulli])
@pytest.mark.parametrize("vectorized", [False, True])
@pytest.mark.parametrize("particles", [1, 5])
def test_pyros_own_mean_field_elbo_uses_the_exact_kl(family, vectorized, particles):
    elbo = TraceMeanField_ELBO(num_particles=particles, vectorize_particles=vectorized, max_plate_nesting=1)
    exact = float(SignKL.apply(NATURAL, torch.tensor(0.2)).sum())
    losses = {elbo.loss(model, lambda: guide(family)) for _ in range(3)}
    assert len(losses) == 1, "the KL was estimated by Monte Carlo"
    assert losses.pop() == pytest.approx(exact - LEVEL, rel=1e-6)


def test_the_type_survives_a_particle_plate_and_a_data_plate():
    def both():
        with pyro.plate("particles", 6, dim=-2), pyro.plate("data", 5, dim=-1):
            guide()
            pyro.sample("v", SignBernoulli(torch.zeros(2)).to_event(1))

    trace = poutine.trace(both).get_trace()
    w, v = trace.nodes["w"], trace.nodes["v"]
    assert type(w["fn"].base_dist) is RelaxedSignBernoulli
    assert type(v["fn"].base_dist) is SignBernoulli
    assert w["value"].shape == (6, 5, 3, 4)
    trace.compute_log_prob()
    assert w["log_prob"].shape == v["log_prob"].shape == (6, 5)


def test_prior_scores_relaxed_values_under_validation():
    with pyro.validation_enabled(True):
        loss = Trace_ELBO().loss(model, guide)
        assert math.isfinite(loss)
        with pytest.raises(ValueError, match="support"):
            poutine.trace(
                poutine.condition(model, {"w": torch.full((3, 4), 1.5)})
            ).get_trace().compute_log_prob()


def test_enumerated_by_pyro_gives_the_exact_marginal():
    natural = torch.tensor([0.3, -0.8])

    @config_enumerate
    def pair(y):
        total = sum(pyro.sample(f"w{k}", SignBernoulli(natural[k])) for k in range(2))
        pyro.sample("y", dist.Normal(total, 1.0), obs=y)

    y = torch.tensor(0.7)
    evidence = sum(
        float(torch.sigmoid(2 * a * natural[0]) * torch.sigmoid(2 * b * natural[1]))
        * math.exp(float(dist.Normal(a + b, 1.0).log_prob(y)))
        for a in (-1.0, 1.0)
        for b in (-1.0, 1.0)
    )
    loss = TraceEnum_ELBO(max_plate_nesting=0).loss(pair, lambda y: None, y)
    assert loss == pytest.approx(-math.log(evidence), rel=1e-5)


def test_predictive_draws_hard_weights():
    torch.manual_seed(0)
    for parallel in (False, True):
        draws = Predictive(model, num_samples=7, parallel=parallel, return_sites=("w",))()["w"]
        assert draws.shape[0] == 7
        assert draws.shape[-2:] == (3, 4)
        assert bool((draws.abs() == 1).all())
