"""A learner on a tiny network, its data, and comparisons of what two learners have learnt."""

import torch

from bisnn_pyro.inference import AutoRelaxedSign, BayesianLearningRule, Learner, TrainSettings
from bisnn_pyro.models import BernoulliRate, SpikingGLM
from tests.inference.tiny import encode_spikes, make_points

X, Y = make_points(40)
X_VAL, Y_VAL = make_points(20, seed=1)


def bayes(lr=0.02):
    """The rule on the guide's parameters, Adam on the model's own if it has any."""

    def make(model, guide):
        ordinary = [p for p in model.parameters() if p.requires_grad]
        rest = [torch.optim.Adam(ordinary, lr=0.01)] if ordinary else []
        return [BayesianLearningRule(guide.parameters(), lr=lr, max_step=0.5), *rest]

    return make


def adam(lr=0.05):
    def make(model, guide):
        return [torch.optim.Adam([*guide.parameters(), *model.parameters()], lr=lr)]

    return make


def make_learner(net=None, kind=AutoRelaxedSign, seed=0, optimisers=None, encode=encode_spikes, **options):
    """A learner on a tiny network; settings by keyword beside the learner's own schedules."""
    net = net or SpikingGLM(4, (6,), BernoulliRate(), gain=2.0, readout_gain=2.0)
    schedules = {k: options.pop(k) for k in ("kl_weight", "temperature", "lr_scale") if k in options}
    settings = TrainSettings(**{"epochs": 3, "batch_size": 16, "validation_draws": 4} | options)
    return Learner(net, kind(net), encode, optimisers or bayes(), settings, seed=seed, **schedules)


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
