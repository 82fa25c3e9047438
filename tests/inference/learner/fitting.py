"""A learner on a tiny network, its data, and comparisons of what two learners have learnt."""

import torch

from bisnn_pyro.inference import (
    AutoRelaxedSign,
    BayesianLearningRule,
    GradientSteps,
    Learner,
    TrainSettings,
)
from bisnn_pyro.models import BernoulliRate, SpikingGLM
from tests.inference.tiny import encode_spikes, make_points

X, Y = make_points(40)
X_VAL, Y_VAL = make_points(20, seed=1)


def bayes(lr=0.8, **options):
    """The rule on the guide's parameters; the learner moves the model's own."""
    options = {"max_step": 0.5, **options}
    return lambda model, guide: [BayesianLearningRule(guide.parameters(), lr, **options)]


def adam(lr=0.05):
    def make(model, guide):
        return [torch.optim.Adam([*guide.parameters(), *model.parameters()], lr=lr)]

    return make


def make_learner(net=None, kind=AutoRelaxedSign, seed=0, optimisers=None, encode=encode_spikes, **options):
    """A learner on a tiny network; settings by keyword."""
    net = net or SpikingGLM(4, (6,), BernoulliRate(), gain=2.0, readout_gain=2.0)
    settings = TrainSettings(**{"epochs": 3, "batch_size": 16, "validation_draws": 4} | options)
    return Learner(net, kind(net), encode, GradientSteps(optimisers or bayes()), settings, seed=seed)


def without_seconds(history):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in history]


def parameters(learner):
    return {
        f"{part}.{name}": value
        for part in ("guide", "model")
        for name, value in getattr(learner, part).state_dict().items()
    }


def assert_same(one, other):
    first, second = parameters(one), parameters(other)
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name


def normalised_net():
    return SpikingGLM(4, (6, 5), BernoulliRate(), normalise=True)
