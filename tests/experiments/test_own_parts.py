"""Classes of a user's own, named in a TOML file: trusted or not, run, compared and reported."""

import sys
import tomllib
from pathlib import Path

import pytest

from bisnn_pyro.errors import ConfigError
from bisnn_pyro.experiments import parts
from bisnn_pyro.experiments.batch import plan, run_experiment
from bisnn_pyro.experiments.fitted import load_run
from bisnn_pyro.experiments.resolve import load_source
from bisnn_pyro.results import Runs
from tests.experiments.changing import built, change_config

MODULE = '''
"""A user's own parts; importing them leaves a trace."""
from dataclasses import dataclass
from pathlib import Path

import torch
from pyro.distributions import Normal

from bisnn_pyro.data import DirectEncoder, Task, two_moons
from bisnn_pyro.inference import AutoRelaxedSign, BayesianLearningRule
from bisnn_pyro.models import BernoulliRate, BinaryPrior, Boxcar, SpikingGLM, Surrogate, ThresholdNeuron

Path(__file__).with_name("imported").touch()


def my_moons(path: str, noise: float = 0.2) -> Task:
    """Two moons again.

    Args:
        path: where nothing is read.
        noise: of the points.
    """
    return two_moons(n_train=24, n_val=16, n_test=30, noise=noise)


class MyEncoder(DirectEncoder):
    """A constant current."""


class MyNetwork(SpikingGLM):
    """The usual network.

    Args:
        label: printed by nobody.
    """

    def __init__(self, *args, label: str = "mine", **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.label = label


class MyNeuron(ThresholdNeuron):
    """The usual neuron."""


@dataclass(frozen=True)
class MySurrogate(Boxcar):
    """The usual surrogate, scaled.

    Args:
        factor: of the derivative.
    """

    factor: float = 2.0

    def derivative(self, u):
        return self.factor * super().derivative(u)


class MyPrior(BinaryPrior):
    """The usual prior."""


class MyLikelihood(BernoulliRate):
    """The usual likelihood."""


class MyGuide(AutoRelaxedSign):
    """The usual guide.

    Args:
        sharpness: nothing.
    """

    def __init__(self, model, *, sharpness: float = 1.0, **kwargs) -> None:
        super().__init__(model, **kwargs)
        self.sharpness = sharpness


class MyRule(BayesianLearningRule):
    """The usual rule."""
'''

TOML = """
experiment = "mine"
methods = ["own", "bayes"]
[data]
name = "{module}:my_moons"
path = "moons.csv"
[encoder]
name = "{module}:MyEncoder"
n_steps = 12
[network]
name = "{module}:MyNetwork"
hidden = [8]
burn_in = 2
label = "given"
[network.neuron]
name = "{module}:MyNeuron"
tau_membrane = 4.0
[network.surrogate]
name = "{module}:MySurrogate"
factor = 3.0
[prior]
name = "{module}:MyPrior"
p = 0.6
[likelihood]
name = "{module}:MyLikelihood"
[train]
epochs = 2
[predict]
draws = 3
[analysis]
figures = false
[method.own.guide]
name = "{module}:MyGuide"
sharpness = 2.0
init_scale = 0.2
[method.own.rule]
name = "{module}:MyRule"
lr = 0.05
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """The TOML file, with its module in the current folder alone."""
    name = f"own_parts_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    (tmp_path / "mine.toml").write_text(TOML.format(module=name))
    monkeypatch.chdir(tmp_path)
    yield tmp_path / "mine.toml"
    sys.modules.pop(name, None)


def imported(path: Path) -> bool:
    return (path.parent / "imported").exists()


def test_own_parts_are_run_compared_and_reported(mine, bisnn):
    done = bisnn("run", mine, "--trust-code", "--out", "runs", "--seeds", "0-1")
    assert done.returncode == 0, done.stderr
    assert not any(
        Path(entry or ".").samefile(mine.parent) for entry in sys.path if Path(entry or ".").exists()
    )
    stored = tomllib.loads((mine.parent / "runs" / "own-seed0" / "config.toml").read_text())
    module = stored["guide"]["name"].partition(":")[0]
    assert stored["guide"] == {
        "name": f"{module}:MyGuide", "sharpness": 2.0, "init_scale": 0.2,
        "estimator": "second-order", "start": "random",
    }  # fmt: skip
    assert stored["network"]["surrogate"] == {"name": f"{module}:MySurrogate", "width": 0.5, "factor": 3.0}
    assert stored["data"]["path"] == str(mine.parent / "moons.csv")
    assert (stored["prior"]["p"], stored["rule"]["lr"], stored["network"]["label"]) == (0.6, 0.05, "given")
    scores = Runs("runs").scores()
    assert set(scores["method"]) == {"own", "bayes"}
    assert bisnn("compare", "runs").returncode == 0
    report = bisnn("report", "runs", "--trust-code", "--out", "report.html")
    assert report.returncode == 0, report.stderr
    fitted = load_run("runs/own-seed0", trust=True)
    assert fitted.guide.sharpness == 2.0
    assert type(fitted.model.neuron.surrogate).__name__ == "MySurrogate"


def test_nothing_is_imported_without_trust(mine, tmp_path):
    with pytest.raises(ConfigError, match=r"--trust-code.*trust=True") as error:
        plan(str(mine))
    assert ".name" in str(error.value)
    assert not imported(mine)
    assert plan(str(mine), ["own"], trust=True)
    assert imported(mine)


def test_a_strangers_run_folder_is_not_imported(mine, source, tmp_path):
    (config,) = plan(str(mine), ["own"], trust=True)
    (result,) = run_experiment([config], tmp_path / "runs", trust=True).runs
    (mine.parent / "imported").unlink()
    sys.modules.pop(config.guide.name.partition(":")[0])
    assert "own" in set(Runs(result.path).scores()["method"])
    with pytest.raises(ConfigError, match=r"own_parts.*--trust-code"):
        load_run(result.path)
    assert not imported(mine)
    assert load_run(result.path, trust=True).predict([[0.1, 0.2]])


KEYS = ("network.neuron.name", "likelihood.name", "encoder.name", "prior.name", "rule.name", "data.name")


@pytest.mark.parametrize("key", KEYS)
def test_a_class_of_another_kind_is_refused_before_it_is_called(source, key):
    with pytest.raises(ConfigError, match=rf"{key} names .*OrderedDict.* must be"):
        change_config(source, f"{key}=collections:OrderedDict", trust=True)


def test_a_class_that_is_not_there_is_named(source):
    for missing in ("bisnn_pyro.models:Missing", "no_such_module:Thing"):
        with pytest.raises(ConfigError, match=rf"network.neuron.name = '{missing}' cannot be imported"):
            change_config(source, f"network.neuron.name={missing}", trust=True)


def test_this_packages_own_classes_by_reference(source):
    config = change_config(source, "network.neuron.name=bisnn_pyro.models:EscapeNeuron", trust=True)
    assert type(built(config, trust=True)[2].neuron).__name__ == "EscapeNeuron"


def test_a_constructor_that_fails_is_a_config_error(mine):
    text = mine.read_text().replace('name = "own_parts', 'name = "own_parts', 1)
    mine.write_text(text)
    broken = mine.parent / "broken_encoder.py"
    broken.write_text(
        "from bisnn_pyro.data import DirectEncoder\n"
        "class Broken(DirectEncoder):\n"
        "    def __init__(self, depth: int) -> None:\n"
        "        raise RuntimeError('no depth')\n"
    )
    with pytest.raises(ConfigError, match=r"\[encoder\] .*Broken.* needs the key 'depth'"):
        change_config(str(mine), "encoder.name=broken_encoder:Broken", trust=True)
    with pytest.raises(ConfigError, match=r"RuntimeError: no depth"):
        change_config(str(mine), "encoder={name='broken_encoder:Broken', depth=3}", trust=True)
    sys.modules.pop("broken_encoder")


def test_keys_and_meanings_come_from_the_class(mine):
    guide = load_source(str(mine))["method"]["own"]["guide"]["name"]
    keys = parts.keys("guide", guide, trust=True)
    assert keys["sharpness"].meaning == "nothing."
    assert keys["temperature"].meaning  # the base class's
    assert "model" not in keys
