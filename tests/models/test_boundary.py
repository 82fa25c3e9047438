"""What a model says to arrays, other precisions, and settings beyond their ranges."""

import numpy as np
import pytest
import torch

from bisnn_pyro.errors import ModelError
from bisnn_pyro.inference import AutoCheckpoints, AutoMeanFieldGaussian, AutoRelaxedSign, TrainSettings
from bisnn_pyro.models import BernoulliSteps, CategoricalRate, CategoricalSteps, SpikingGLM, TimeConstants

SPIKES = (torch.rand(10, 5, 4, generator=torch.Generator().manual_seed(0)) < 0.3).float()
Y = torch.tensor([0, 1, 2, 0, 1])


@pytest.fixture
def model():
    return SpikingGLM(4, [8], CategoricalRate(3))


@pytest.mark.parametrize(
    ("spikes", "words"),
    [
        (SPIKES.double(), r"torch\.float64 .* computes in torch\.float32"),
        (SPIKES.half(), r"torch\.float16"),
        (SPIKES.numpy(), "a ndarray; expected a tensor"),
        (SPIKES.numpy().astype(np.float64), "a ndarray; expected a tensor"),
        (SPIKES.tolist(), "a list; expected a tensor"),
        (SPIKES.bool(), "floating-point"),
        (SPIKES.long(), "floating-point"),
        (SPIKES[0], r"expected \[T, B, I\]"),
    ],
)
def test_other_inputs_are_refused_in_words(model, spikes, words):
    with pytest.raises(ModelError, match=words):
        model(spikes, Y)
    with pytest.raises(ModelError, match=words):
        model.simulate({name: torch.ones(shape) for name, shape in model.weight_shapes.items()}, spikes)


@pytest.mark.parametrize("y", [Y.numpy(), Y.tolist()])
def test_other_targets_are_refused_in_words(model, y):
    with pytest.raises(ModelError, match="expected a tensor"):
        model(SPIKES, y)


def test_a_double_network_takes_double_inputs():
    model = SpikingGLM(4, [8], CategoricalRate(3)).double()
    assert model.dtype == torch.float64
    model.check_inputs(SPIKES.double())


@pytest.mark.parametrize("settings", [{"gain": 0.0}, {"gain": -1.0}, {"gain": 1e30}, {"readout_gain": -1.0}])
def test_gains_have_a_range(settings):
    with pytest.raises(ModelError, match="gain"):
        SpikingGLM(4, [8], CategoricalRate(3), **settings)


@pytest.mark.parametrize("value", [0.0, -1.0, 1e30, float("inf"), float("nan")])
def test_time_constants_have_a_range(value):
    with pytest.raises(ModelError, match="tau_synapse must be a positive number of steps"):
        TimeConstants(synapse=value)


@pytest.mark.parametrize(
    ("guide", "settings"),
    [
        (AutoRelaxedSign, {"init_scale": -1.0}),
        (AutoRelaxedSign, {"init_scale": 1e30}),
        (AutoMeanFieldGaussian, {"init_deviation": 0.0}),
        (AutoMeanFieldGaussian, {"init_deviation": -0.5}),
        (AutoCheckpoints, {"snapshots": 10**9}),
    ],
)
def test_settings_of_guides_have_a_range(model, guide, settings):
    with pytest.raises(ModelError, match=next(iter(settings))):
        guide(model, **settings)


def test_threads_have_a_limit():
    with pytest.raises(ModelError, match=r"train\.threads must be at most 1024, not 100000"):
        TrainSettings(threads=100_000)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("likelihood", [BernoulliSteps(), CategoricalSteps(3)])
def test_labels_of_several_groups_are_repeated_over_the_steps(likelihood, soft):
    """Labels ``[S, B]`` as floats are not class probabilities."""
    n = likelihood.n_classes
    readout = torch.randn(2, 3, 6, likelihood.n_outputs, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([[0, 1, 1], [1, 0, 1]])
    y = torch.nn.functional.one_hot(labels, n).float() if soft else labels
    found = likelihood.log_prob(readout, y)
    alone = torch.stack([likelihood.log_prob(r, one) for r, one in zip(readout, labels, strict=True)])
    torch.testing.assert_close(found, alone)
