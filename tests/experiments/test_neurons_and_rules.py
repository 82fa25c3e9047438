"""Single-step neurons and the BiMU rule by their names in a config."""

import json
import math

import pytest
import torch

from bisnn_pyro.errors import ConfigError
from bisnn_pyro.experiments.build import build_learner
from bisnn_pyro.experiments.run import run
from bisnn_pyro.inference import BiMU
from bisnn_pyro.models import Boxcar, SingleStep, SingleStepNeuron, ThresholdNeuron, Triangle
from tests.experiments.changing import built, change_config

ALL = ["bayes", "straight-through", "gaussian", "full-precision"]
SINGLE_STEP = [
    "network.neuron.name=single-step",
    "network.credit=end-to-end",
    "network.burn_in=0",
    "network.normalise=true",
    "encoder.name=direct",
    "encoder.n_steps=1",
    "analysis.figures=false",
]


def neuron(source, *overrides):
    return built(change_config(source, *overrides))[2].neuron


def test_a_neuron_chooses_its_surrogate(source):
    assert neuron(source, "network.surrogate.width=0.3") == ThresholdNeuron(surrogate=Boxcar(0.3))
    single = neuron(source, "network.neuron={name='single-step', threshold=0.4}")
    assert single == SingleStepNeuron(0.4, SingleStep())
    steep = neuron(source, "network.surrogate={name='single-step', alpha=8}")
    assert steep.surrogate == SingleStep(alpha=8.0)
    other = neuron(source, "network.neuron.name=single-step", "network.surrogate.name=triangle")
    assert other == SingleStepNeuron(surrogate=Triangle())


@pytest.mark.parametrize("method", ALL)
def test_single_step_networks_run_with_every_guide(source, method, tmp_path):
    result = run(change_config(source, *SINGLE_STEP, method=method), tmp_path)
    for scores in result.metrics["predictors"].values():
        assert 0 <= scores["accuracy"] <= 1
        assert math.isfinite(scores["nll"])


def rule_of(config):
    task, encoder, model, guide = built(config)
    x, y = (torch.as_tensor(values[:1]) for values in (task.train.x, task.train.y))
    guide.initialize(encoder(x, torch.Generator().manual_seed(0)), y)
    model.dataset_size = 24
    learner = build_learner(config, model, guide, encoder)
    learner.updater.begin(model, guide, learner.settings)
    return learner.updater.optimisers[0]


def test_bimu_gets_its_settings_and_the_mini_batchs_size(source):
    # Batches of 8: the paper's loss, a sum over them, is eight times the loss per example.
    bimu = ["rule.name=bimu", "train.kl_weight=0"]
    rule = rule_of(change_config(source, *bimu, "rule.likelihood_multiplier=6"))
    assert isinstance(rule, BiMU)
    expected = {"lr": 1.2, "likelihood_multiplier": 48.0, "kl_multiplier": 1.0, "lr_max": 1.0, "prior": 0.0}
    assert rule.defaults == {**expected, "memory": 24}
    named = rule_of(change_config(source, *bimu, "rule.memory=300", "prior.p=0.7"))
    assert named.defaults["memory"] == 300
    assert named.defaults["prior"] == pytest.approx(0.5 * math.log(0.7 / 0.3))


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["rule.name=bimu"], "set train.kl_weight = 0"),
        (["rule.name=bimu", "train.kl_weight={start=0, end=1, shape='linear'}"], "set train.kl_weight = 0"),
        (["rule.name=bimu", "train.kl_weight=0", "rule.betas=1"], "unknown key 'betas'.*'adam'"),
    ],
)
def test_bimu_refuses(source, overrides, words):
    with pytest.raises(ConfigError, match=words):
        change_config(source, *overrides)


def test_bimu_learns_on_the_command_line(source, bisnn, tmp_path):
    # Two moons, seeds fixed: 0.5 is chance, three epochs of the tiny net would stay there.
    keys = [
        "rule.name=bimu",
        "rule.lr=5",
        "rule.lr_max=0.2",
        "rule.likelihood_multiplier=50",
        "rule.memory=200",
        "train.kl_weight=0",
        "train.epochs=40",
        "train.validate_every=40",
        "network.hidden=[24]",
        "data.n_test=200",
        "analysis.figures=false",
    ]
    flags = [flag for key in keys for flag in ("--set", key)]
    done = bisnn("run", source, "-m", "bayes", "--out", tmp_path / "out", *flags)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "out" / "bayes-seed0" / "metrics.json").read_text())
    assert metrics["predictors"]["committee"]["accuracy"] > 0.8
