"""Single-step neurons and the BiMU rule by their names in a config."""

import json
import math

import pytest
import torch
from bisnn_pyro.experiments.build_network import build_neuron
from bisnn_pyro.experiments.build_rule import build_optimisers

from bisnn_pyro.errors import ConfigError
from bisnn_pyro.experiments.batch import plan
from bisnn_pyro.experiments.build import build_task
from bisnn_pyro.experiments.run import new_fit, run
from bisnn_pyro.inference import BiMU
from bisnn_pyro.models import Boxcar, SingleStep, SingleStepNeuron, ThresholdNeuron, Triangle

ALL = ["bayes", "straight-through", "gaussian", "full-precision"]
SINGLE_STEP = [
    "network.neuron=single-step",
    "network.credit=end-to-end",
    "network.burn_in=0",
    "network.normalise=true",
    "encoder.name=direct",
    "encoder.n_steps=1",
    "analysis.figures=false",
]


def one(source, *overrides, method="bayes"):
    return plan(source, [method], overrides=["analysis.figures=false", *overrides])[0]


def test_a_neuron_chooses_its_surrogate(source):
    threshold = build_neuron(one(source, "network.surrogate_width=0.3"))
    assert threshold == ThresholdNeuron(surrogate=Boxcar(0.3))
    single = build_neuron(one(source, "network.neuron=single-step", "network.threshold=0.4"))
    assert single == SingleStepNeuron(0.4, SingleStep())
    steep = one(source, "network.surrogate=single-step", "network.surrogate_alpha=8")
    assert build_neuron(steep).surrogate == SingleStep(alpha=8.0)
    other = one(source, "network.neuron=single-step", "network.surrogate=triangle")
    assert build_neuron(other) == SingleStepNeuron(surrogate=Triangle())


@pytest.mark.parametrize("method", ALL)
def test_single_step_networks_run_with_every_guide(source, method, tmp_path):
    result = run(plan(source, [method], overrides=SINGLE_STEP)[0], tmp_path)
    for scores in result.metrics["predictors"].values():
        assert 0 <= scores["accuracy"] <= 1
        assert math.isfinite(scores["nll"])


def rule_of(config, dataset_size=24):
    task = build_task(config)
    fitted = new_fit(config, task)
    x, y = (torch.as_tensor(values[:1]) for values in (task.train.x, task.train.y))
    fitted.guide.initialize(fitted.encoder(x, torch.Generator().manual_seed(0)), y)
    fitted.model.dataset_size = dataset_size
    return build_optimisers(config, fitted.model, fitted.guide)[0]


def test_bimu_gets_its_settings_and_the_mini_batchs_share(source):
    # 24 examples in batches of 8: the paper's loss is a third of this package's.
    rule = rule_of(one(source, "rule.name=bimu", "train.kl_weight=0", "rule.likelihood_multiplier=6"))
    assert isinstance(rule, BiMU)
    expected = {"lr": 0.05, "likelihood_multiplier": 2.0, "kl_multiplier": 1.0, "lr_max": 1.0, "prior": 0.0}
    assert rule.defaults == {**expected, "memory": 24}
    named = one(source, "rule.name=bimu", "train.kl_weight=0", "rule.memory=300", "prior.p=0.7")
    assert rule_of(named).defaults["memory"] == 300
    assert rule_of(named).defaults["prior"] == pytest.approx(0.5 * math.log(0.7 / 0.3))


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["rule.name=bimu"], "set train.kl_weight = 0"),
        (
            ["rule.name=bimu", "train.kl_weight=0", "train.kl_weight_end=1", "train.kl_weight_shape=linear"],
            "kl_weight_end out",
        ),
        (["rule.name=bimu", "train.kl_weight=0", "rule.settings.betas=1"], "takes none"),
    ],
)
def test_bimu_refuses(source, overrides, words, tmp_path):
    with pytest.raises(ConfigError, match=words):
        run(one(source, *overrides), tmp_path)


def test_bimu_needs_natural_parameters(source, tmp_path):
    config = one(source, "rule.name=bimu", "train.kl_weight=0", method="straight-through")
    with pytest.raises(ConfigError, match="'bimu' moves natural parameters; the guide 'straight-through'"):
        run(config, tmp_path)


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
