"""Shares of saturated and unmoved synapses in the history, and the bound on the natural rule's pull."""

import numpy as np
import pytest
import torch

from bisnn_pyro.errors import ModelError
from bisnn_pyro.inference import (
    AutoBayesianLastLayer,
    AutoFullPrecision,
    AutoMeanFieldGaussian,
    AutoRelaxedSign,
    AutoStraightThrough,
    BayesianLearningRule,
    GradientSteps,
    Learner,
    Schedule,
    TrainSettings,
    saturated_share,
)
from bisnn_pyro.inference.learned import parameters_of, synapse_shares
from bisnn_pyro.models import BernoulliRate, NormalPrior, SpikingGLM
from tests.inference.tiny import encode_current, make_points

X, Y = make_points(20)


def fitted(guide_class, make, settings, *, prior=None, **network):
    model = SpikingGLM(4, [6], BernoulliRate(), **({} if prior is None else {"prior": prior}), **network)
    guide = guide_class(model)
    result = Learner(model, guide, encode_current, GradientSteps(make), settings).fit(X, Y)
    return guide, result


def natural_rule(lr):
    return lambda model, guide: [BayesianLearningRule(guide.parameters(), lr=lr)]


def adam(lr):
    return lambda model, guide: [torch.optim.Adam(guide.parameters(), lr=lr)]


def test_saturated_share_counts_means_that_are_one_in_single_precision():
    assert saturated_share(np.array([0.0, 3.0, -20.0, 40.0])) == 0.5


def test_a_learning_rate_of_1e30_saturates_and_one_of_1e_12_moves_nothing():
    free = TrainSettings(epochs=2, batch_size=10, kl_weight=0.0)
    _, wild = fitted(AutoRelaxedSign, natural_rule(1e30), free)
    assert wild.history.rows[-1]["saturated"] == 1.0
    assert wild.history.rows[-1]["unmoved"] == 0.0
    _, still = fitted(AutoRelaxedSign, natural_rule(1e-12), TrainSettings(epochs=2, batch_size=10))
    assert still.history.rows[-1] | {"saturated": 0.0, "unmoved": 1.0} == still.history.rows[-1]


@pytest.mark.parametrize(
    ("guide_class", "prior"),
    [
        (AutoStraightThrough, None),
        (AutoFullPrecision, NormalPrior()),
        (AutoMeanFieldGaussian, NormalPrior()),
    ],
)
def test_points_and_real_weights_have_a_share_of_unmoved_synapses_alone(guide_class, prior):
    settings = TrainSettings(epochs=1, batch_size=10)
    for lr, unmoved in ((1e-12, 1.0), (1.0, 0.0)):
        _, result = fitted(guide_class, adam(lr), settings, prior=prior)
        assert result.history.rows[-1]["unmoved"] == unmoved
        assert "saturated" not in result.history.rows[-1]


def test_shares_by_hand():
    model = SpikingGLM(4, [2], BernoulliRate())
    guide = AutoRelaxedSign(model)
    guide.initialize(torch.zeros(5, 1, 4), torch.zeros(1))
    (natural,) = guide.parameters()
    with torch.no_grad():
        natural.copy_(torch.full((2, 4), 0.1))
        start = parameters_of(guide)
        natural[0] = torch.tensor([0.1, 0.1009, 0.102, -12.0])  # spread 0.1: 0.001 is the limit
    assert synapse_shares(guide, start) == {"unmoved": 6 / 8, "saturated": 1 / 8}


def test_points_of_a_last_layer_posterior_are_not_saturated():
    model = SpikingGLM(4, [3], BernoulliRate(), readout="trained")
    guide = AutoBayesianLastLayer(model)
    guide.initialize(torch.zeros(5, 1, 4), torch.zeros(1))
    assert synapse_shares(guide, parameters_of(guide)) == {"unmoved": 1.0, "saturated": 0.0}


# 20 examples: the KL moves a natural parameter by lr * kl_weight / 20 of its distance to the prior's.
@pytest.mark.parametrize(
    ("lr", "settings", "named"),
    [
        (20.0, {}, "kl_weight = 1"),
        (1e30, {}, r"rule.lr = 1e\+30"),
        (1.0, {"kl_weight": 20.0}, "kl_weight = 20"),
        (4.0, {"kl_weight": Schedule(0.0, 6.0, "linear")}, r"kl_weight = 5\.99"),
        (30.0, {"lr_schedule": Schedule(1.0, 0.0, "cosine", warmup=0.3)}, "rule.lr = 30"),
        (25.0, {"window": 12}, "rule.lr = 25"),
        (25.0, {"window": 3, "window_kl_scale": 1.0}, "rule.lr = 25"),
    ],
)
def test_a_pull_that_overshoots_the_prior_is_refused(lr, settings, named):
    with pytest.raises(ModelError, match=named) as refused:
        fitted(AutoRelaxedSign, natural_rule(lr), TrainSettings(epochs=1, batch_size=10, **settings))
    assert "rule.lr" in str(refused.value)
    assert "train.kl_weight" in str(refused.value)


@pytest.mark.parametrize(
    ("lr", "settings"),
    [
        (19.9, {}),
        (1.0, {"kl_weight": 19.9}),
        (1000.0, {"kl_weight": 0.0}),
        (3.0, {"kl_weight": Schedule(0.0, 6.0, "linear")}),
        # The rates are never large together: 30 (1 - p) * 2 p / 20 is at most 0.75.
        (30.0, {"kl_weight": Schedule(0.0, 2.0, "linear"), "lr_schedule": Schedule(1.0, 0.0, "linear")}),
        (25.0, {"window": 6}),  # half of the KL in one update
    ],
)
def test_smaller_ones_train(lr, settings):
    _, result = fitted(AutoRelaxedSign, natural_rule(lr), TrainSettings(epochs=1, batch_size=10, **settings))
    assert len(result.history) == 1


def test_other_rules_have_no_such_bound():
    _, result = fitted(AutoRelaxedSign, adam(0.1), TrainSettings(epochs=1, batch_size=10, kl_weight=1e3))
    assert len(result.history) == 1


def test_a_resumed_training_measures_from_the_first_start():
    model = SpikingGLM(4, [6], BernoulliRate())
    guide = AutoRelaxedSign(model)
    steps = GradientSteps(natural_rule(0.5))
    kept = []
    settings = TrainSettings(epochs=3, batch_size=10)
    learner = Learner(model, guide, encode_current, steps, settings)
    whole = learner.fit(X, Y, on_epoch=lambda history, make: kept.append(make()))
    resumed = learner.fit(X, Y, resume=kept[0])  # the guide has been trained: its start is not the first
    column = whole.history.column("unmoved")
    assert column == resumed.history.column("unmoved")
