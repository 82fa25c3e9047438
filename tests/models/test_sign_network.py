"""The network of sign units: against a loop in numpy, and as a member of the family."""

import numpy as np
import pytest
import torch

from bisnn_pyro.errors import ModelError
from bisnn_pyro.inference import point_draws, predict
from bisnn_pyro.models import BinaryPrior, CategoricalProbit, SignNetwork, SignNeuron

N_INPUTS, HIDDEN, N_CLASSES = 6, (7, 5), 3


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = SignNetwork(N_INPUTS, HIDDEN, CategoricalProbit(N_CLASSES))
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn_like(p))
    return model


def draw(model, n=4):
    source = torch.Generator().manual_seed(1)
    sizes = {
        name: (s.fan_out, s.fan_in) for name, s in zip(model.weight_sites, model.all_synapses, strict=True)
    }
    return {
        name: torch.randint(0, 2, (n, *size), generator=source).float() * 2 - 1
        for name, size in sizes.items()
    }


def inputs(n=9):
    return torch.randn(1, n, N_INPUTS, generator=torch.Generator().manual_seed(2))


def reference(weights, biases, x):
    """One network, example by example: sign units in the paper's units, the raw last potential."""
    result = []
    for row in x:
        a = row
        for k, (w, b) in enumerate(zip(weights, biases, strict=True)):
            u = w @ a + b
            a = u if k == len(weights) - 1 else np.where(u >= 0, 1.0, -1.0)
        result.append(a)
    return np.array(result)


def test_simulation_against_a_loop(model):
    weights, x = draw(model), inputs()
    run = model.simulate(weights, x)
    readout = run.readouts[-1]
    assert readout.shape == (4, 1, 9, N_CLASSES)
    biases = [(s.bias / s.scale).detach().double().numpy() for s in model.all_synapses]
    for k in range(4):
        own = [w[k].double().numpy() for w in weights.values()]
        expected = reference(own, biases, x[0].double().numpy())
        np.testing.assert_allclose(readout[k, 0].detach().numpy(), expected, rtol=1e-5, atol=1e-5)
    assert all(set(s.unique().tolist()) == {-1.0, 1.0} for s in run.spikes)


def test_sites_and_biases(model):
    assert model.weight_sites == ("layers.0.weight", "layers.1.weight", "readout.weight")
    shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}
    assert sorted(shapes.values()) == [(3,), (5,), (7,)]
    assert model.readout.scale == pytest.approx(1.0)


def test_prediction_is_by_one_vote_a_member(model):
    x = inputs()
    weights = {name: w[0] for name, w in draw(model).items()}
    prediction = predict(model, point_draws(weights), [x], n_draws=1, y=torch.zeros(9).long())
    assert prediction.path == "dense"
    readout = model.simulate(weights, x).readouts[-1][0].detach()
    assert np.array_equal(prediction.mean.argmax(-1), readout.argmax(-1).numpy())
    np.testing.assert_allclose(prediction.draws.sum(-1), 1.0)


def test_more_than_one_step_is_refused(model):
    with pytest.raises(ModelError, match=r"encoder\.n_steps = 1"):
        model.simulate(draw(model), inputs().expand(2, -1, -1))
    with pytest.raises(ModelError, match="I = 6"):
        model.simulate(draw(model), inputs()[..., :3])


def test_other_guides_get_a_gradient(model):
    weights = {name: w.requires_grad_() for name, w in draw(model).items()}
    model.simulate(weights, 0.1 * inputs()).readouts[-1].square().sum().backward()
    assert all(bool(w.grad.abs().sum() > 0) for w in weights.values())


def test_neuron_counts_zero_as_plus_one():
    current = torch.tensor([-1.0, -0.0, 0.0, 2.0]).reshape(1, 1, 4)
    signs, potentials, _ = SignNeuron().fire(current, None)
    assert signs.flatten().tolist() == [-1.0, 1.0, 1.0, 1.0]
    assert torch.equal(potentials, current)


def test_probit_probabilities():
    """By the definition: units independent, exactly one of them on."""
    z = torch.tensor([[0.3, -1.2, 2.0], [0.0, 0.0, 0.0], [1.0, 1.0, -3.0]], dtype=torch.float64)
    on = torch.special.ndtr(z)
    weight = torch.stack(
        [on[:, k] * (1 - on)[:, [j for j in range(3) if j != k]].prod(-1) for k in range(3)], -1
    )
    expected = weight / weight.sum(-1, keepdim=True)
    torch.testing.assert_close(CategoricalProbit(3).predict(z[:, None]), expected, rtol=1e-12, atol=0)


def test_a_sure_mistake_has_a_finite_cost():
    z = torch.tensor([[1e3, -1e3]], dtype=torch.float64)[:, None]
    likelihood, y = CategoricalProbit(2), torch.tensor([1])
    p = likelihood.predict(z)
    assert 0 < float(p[0, 1]) < 1e-300
    assert float(likelihood.log_prob(z, y)) == pytest.approx(-2e6 / 2, rel=1e-4)


def test_prior_reaches_all_layers():
    model = SignNetwork(4, [3], CategoricalProbit(2), prior=BinaryPrior(0.7))
    assert all(s.prior.natural > 0 for s in model.all_synapses)
