"""Networks of single-step neurons under every guide: they learn, normalised too, and vote."""

import pytest
import torch

from bisnn_pyro.errors import ModelError
from bisnn_pyro.inference import (
    AutoFullPrecision,
    AutoMeanFieldGaussian,
    AutoRelaxedSign,
    AutoStraightThrough,
    BayesianLearningRule,
    GradientSteps,
    Learner,
    TrainSettings,
    encode_all,
    posterior_draws,
    predict,
)
from bisnn_pyro.models import BinaryPrior, CategoricalRate, NormalPrior, SingleStepNeuron, SpikingGLM
from tests.inference.tiny import encode_current, make_points

GUIDES = {
    "bayes": lambda m: AutoRelaxedSign(m, estimator="relaxed", temperature=0.5),
    "straight-through": AutoStraightThrough,
    "gaussian": AutoMeanFieldGaussian,
    "full-precision": AutoFullPrecision,
}


def encode(x, generator=None):
    return encode_current(2 * x - 1, n_steps=1)


def fit(name, normalise, credit="end-to-end"):
    binary = name in ("bayes", "straight-through")
    model = SpikingGLM(
        4,
        (48, 48),
        CategoricalRate(2),
        prior=BinaryPrior() if binary else NormalPrior(),
        neuron=SingleStepNeuron(),
        credit=credit,
        gain=1.0 if normalise else 2.0,
        readout_gain=4.0,
        normalise=normalise,
    )
    guide = GUIDES[name](model)

    def optimisers(model, guide):
        if name == "bayes":
            return [BayesianLearningRule(guide.parameters(), lr=6.0)]
        return [torch.optim.Adam(guide.parameters(), lr=0.05)]

    train = TrainSettings(epochs=15, batch_size=20, validate_every=5, kl_weight=0.01)
    learner = Learner(model, guide, encode, GradientSteps(optimisers), train)
    x, y = make_points(120)
    x_val, y_val = make_points(40, seed=1)
    learner.fit(x, y, x_val, y_val)
    return model, guide


@pytest.mark.parametrize("normalise", [False, True], ids=["plain", "normalised"])
@pytest.mark.parametrize("name", GUIDES)
def test_every_guide_learns(name, normalise):
    # Seeds fixed throughout; classes with a clear gap between them.
    model, guide = fit(name, normalise)
    x, y = make_points(100, seed=2)
    n_draws = 1 if guide.point else 20
    votes = predict(
        model, posterior_draws(guide, 0), encode_all(encode, x, 0), n_draws=n_draws, y=y, path="auto"
    )
    assert votes.path == "dense"
    assert (votes.mean.argmax(1) == y.numpy()).mean() >= 0.9
    with pytest.raises(ModelError, match="not threshold neurons"):
        predict(model, posterior_draws(guide, 0), encode_all(encode, x, 0), n_draws=1, path="packed")


def test_a_point_does_not_depend_on_its_neighbours():
    model, guide = fit("bayes", normalise=True, credit="local")
    x, _ = make_points(30, seed=2)
    blocks = encode_all(encode, x, 0)
    together = predict(model, posterior_draws(guide, 0), blocks, n_draws=5).draws
    for k in (0, 17):
        alone = predict(model, posterior_draws(guide, 0), encode_all(encode, x[k : k + 1], 0), n_draws=5)
        torch.testing.assert_close(torch.tensor(alone.draws[:, 0]), torch.tensor(together[:, k]))
