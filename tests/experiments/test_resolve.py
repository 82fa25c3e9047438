"""Configs: presets, overrides, methods, and messages that name the nearest right key."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import tomli_w
from scipy import io

from bisnn_pyro.errors import ConfigError, InputError
from bisnn_pyro.experiments.batch import parse_seeds, plan
from bisnn_pyro.experiments.build import build_learner, build_task
from bisnn_pyro.experiments.config import Config, Table
from bisnn_pyro.experiments.resolve import load_source, preset_names, preset_text, resolve
from tests.data import idx_files
from tests.data.events import writers
from tests.experiments.changing import built, change_config


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_resolves_for_each_method_and_builds(name, tmp_path):
    overrides, data = [], load_source(name)["data"]
    if data["name"] in ("mnist", "fashion-mnist"):
        idx_files.write_set(tmp_path / "set")
        overrides = [f"data.path={tmp_path / 'set'}", "data.n_val=20"]
    if data["name"] in writers.EVENT_SETS:
        writers.write_set(data["name"], tmp_path / "set", data.get("scale"))
        overrides = [f"data.path={tmp_path / 'set'}", "data.n_val=2", "data.cache=false"]
    if name == "text-ebp":
        rows = np.random.default_rng(0).random((40, 5))
        io.savemat(tmp_path / "20News_comp.mat", {"data": rows, "labels": np.tile([[1.0], [-1.0]], (20, 1))})
        overrides = [f"data.path={tmp_path}"]
    for config in plan(name, overrides=overrides):
        assert config.fold is None, "one run of a preset is not a fold of a cross-validation"
        task, encoder, model, guide = built(config)
        build_learner(config, model, guide, encoder)
        assert model.synapses[0].n_inputs == encoder.n_inputs(task.n_features)


def test_presets_are_valid_toml_with_a_description():
    for name in preset_names():
        tables = tomllib.loads(preset_text(name))
        assert tables["experiment"] == name
        assert tables["description"]


def test_a_method_overrides_the_common_table_and_the_command_line_overrides_both(source):
    assert change_config(source).rule.lr == 1.2
    assert change_config(source, method="straight-through").rule.lr == 0.01
    assert change_config(source, "rule.lr=0.5", method="straight-through").rule.lr == 0.5
    assert change_config(source, "method.straight-through.rule.lr=0.5").rule.lr == 1.2
    assert change_config(source, "method.bayes.rule.lr=0.5").rule.lr == 0.5


@pytest.mark.parametrize(
    ("method", "guide", "prior", "rule"),
    [
        ("bayes", "relaxed", "binary", "bayesian"),
        ("straight-through", "straight-through", "binary", "adam"),
        ("full-precision", "full-precision", "normal", "adam"),
        ("gaussian", "gaussian", "normal", "adam"),
        ("ebp", "ebp", "binary", "expectation"),
        ("ebp-real", "ebp-real", "normal", "expectation"),
    ],
)
def test_the_method_selects_guide_prior_and_rule_by_name(method, guide, prior, rule):
    tables = {"data": {"name": "two-moons"}, "methods": [method]}
    config = resolve(tables, method)
    assert (config.guide.name, config.prior.name, config.rule.name) == (guide, prior, rule)


def test_the_order_of_overrides_does_not_matter(source):
    pair = ["data.path=x.npz", "data.name=npz"]
    for overrides in (pair, pair[::-1]):
        assert change_config(source, *overrides).data.path.endswith("/x.npz")
    pair = ["network.surrogate.name=triangle", "network.neuron.name=single-step"]
    for overrides in (pair, pair[::-1]):
        assert change_config(source, *overrides).network.surrogate.name == "triangle"


def test_the_seed_comes_from_the_source_unless_given(source):
    tables = load_source(source) | {"seed": 7}
    assert resolve(tables, "bayes").seed == 7
    assert resolve(tables, "bayes", seed=0).seed == 0
    assert resolve(tables, "bayes", overrides={"seed": 5}).seed == 5


def test_a_resolved_config_is_of_its_method_alone_and_resolves_to_itself(source, tmp_path):
    config = change_config(source, method="straight-through", seed=3)
    assert Config.from_dict(config.to_dict()) == config
    with pytest.raises(ConfigError, match="this config is of straight-through"):
        resolve(config.to_dict(), "bayes")
    again = tmp_path / "config.toml"
    again.write_text(tomli_w.dumps(config.to_dict()))
    assert plan(str(again), seeds=[3]) == [config]


def test_a_config_is_read_without_the_code_that_it_names(source):
    tables = change_config(source).to_dict()
    tables["guide"] = {"name": "no_such_module:Guide", "width": 3}
    assert Config.from_dict(tables).guide.width == 3
    with pytest.raises(ConfigError, match="lacks data"):
        Config.from_dict({key: value for key, value in tables.items() if key != "data"})


def test_a_method_named_twice_is_refused(source):
    with pytest.raises(ConfigError, match="named twice"):
        plan(source, ["bayes", "bayes"])


def test_another_part_drops_the_keys_that_it_does_not_take(source):
    config = change_config(source, "data.name=digits", "encoder.name=rate")
    assert "n_test" not in config.data
    assert config.encoder.settings == {"n_steps": 100, "max_rate": 1.0}
    assert change_config(source, "data.noise=0.2").data.n_train == 24
    escape = change_config(source, "network.neuron.name=escape")
    assert "surrogate" not in escape.network
    assert change_config(source, "network.name=sign").network.hidden == (8, 8)
    tables = change_config(source).to_dict()  # complete, with a boxcar
    single = resolve(tables, "bayes", overrides={"network": {"neuron": {"name": "single-step"}}})
    assert single.network.surrogate.name == "single-step"


def test_schedules(source):
    table = {"start": 0.5, "end": 0.1, "shape": "linear", "warmup": 0.0}
    config = change_config(source, "guide.temperature={start=0.5, end=0.1, shape='linear'}")
    assert config.guide.temperature.to_dict() == table
    config = change_config(source, "train.kl_weight=0.5", "train.lr_schedule={end=0, shape='cosine'}")
    assert config.train.kl_weight == 0.5
    assert config.train.lr_schedule.to_dict() == {**table, "start": 1.0, "end": 0.0, "shape": "cosine"}
    # A number becomes the start, and the default is the start of what does not say.
    tables = load_source(source) | {"train": {"kl_weight": 0.5}}
    changes = {"train": {"kl_weight": {"end": 1.0, "shape": "linear"}}}
    assert resolve(tables, "bayes", overrides=changes).train.kl_weight.start == 0.5
    assert change_config(source, "train.kl_weight.warmup=0.2").train.kl_weight.start == 1.0


def test_tables_are_read_only_and_name_the_nearest_key(source):
    train = change_config(source).train
    with pytest.raises(AttributeError, match="did you mean 'epochs'"):
        train.epoch  # noqa: B018
    with pytest.raises(AttributeError):
        train.epochs = 5
    assert train.get("window") is None
    assert Table({"a": {"b": [1, {"c": None}]}}).to_dict() == {"a": {"b": [1, {}]}}


def test_values_and_replacements(source):
    config = change_config(source)
    assert config.value("network.neuron.tau_membrane") == 10.0
    assert config.value("train.no_such") is None
    assert config.replace("network.neuron.tau_membrane", 3.0).network.neuron.tau_membrane == 3.0
    assert config.replace("seed", 9).seed == 9
    assert config.network.neuron.tau_membrane == 10.0


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("train.epoch=5", ["unknown key 'epoch' in [train]", "'epochs'"]),
        ("trian.epochs=5", ["unknown key 'trian'", "'train'"]),
        ("train.epochs=0", ["train.epochs", "at least 1"]),
        ("train.epochs=many", ["train.epochs", '"many"', "whole number"]),
        ("train.epochs=true", ["train.epochs = true", "whole number"]),
        ("train.epochs='5'", ["train.epochs", '"5"', "whole number"]),
        ("train.kl_weight=nan", ["train.kl_weight", "number"]),
        ("network.hidden=[true]", ["network.hidden[0] = true"]),
        ("network.hidden=[{kind='cov'}]", ["network.hidden[0]", "'conv'"]),
        ("network.hidden=[{kind='conv', kernel=3}]", ["network.hidden[0]", "'channels'"]),
        ("network.hidden=[{kind='dense', unit=3}]", ["'unit'", "'units'"]),
        ("network.normalise='yes'", ["network.normalise", "true or false"]),
        ("network.credit=lokal", ["network.credit", "'local'"]),
        ("network.surrogate.name=boxcat", ["network.surrogate.name", "'boxcar'"]),
        ("network.neuron.name=treshold", ["network.neuron.name", "'threshold'", "package.module:Class"]),
        ("network.neuron=escape", ["[network.neuron] is a table", "network.neuron.name"]),
        ("network.neuron.delta=0.1", ["'delta'", "'escape'"]),
        ("network.neuron.tau=3", ["'tau'"]),
        ("network.tau_membrane=3", ["'tau_membrane'", "[network.neuron]"]),
        ("network.neuron={name='escape', reset=-1.0}", ["reset"]),
        ("data.path=x", ["'path'", "'npz'"]),
        ("data.n_trian=5", ["n_trian", "'n_train'"]),
        ("data={name='npz'}", ["[data]", "needs the key 'path'"]),
        ("encoder.n_steps=2.5", ["encoder.n_steps", "whole number"]),
        ("guide.temperature={start=1.0, shape='linear'}", ["end"]),
        ("guide.temperature={start=1.0, shap='linear'}", ["'shap'", "'shape'"]),
        ("guide.clip=1", ["'clip'", "'straight-through'"]),
        ("guide.name=gaussian", ["choose the method"]),
        ("rule.momentun=0.9", ["'momentum'"]),
        ("rule.name=adma", ["'adam'"]),
        ("rule.name=expectation", ["'ebp'"]),
        ("prior.p=1.0", ["prior p"]),
        ("prior.scale=1.0", ["'scale'", "'normal'"]),
        ("analysis.noise=[-1]", ["analysis.noise"]),
        ("analysis.early_decisions=[0]", ["analysis.early_decisions"]),
        ("predict.draws=0", ["predict.draws", "at least 1"]),
        ("tune={'rule.lr'=3}", ["rule.lr", "interval"]),
        ("tune={'rule.lr'={low=2, high=1}}", ["low < high"]),
        ("train=5", ["[train] is a table"]),
        ("seed=-1", ["seed"]),
        ("experiment='a/b'", ["experiment"]),
        ("epochs", ["table.key=value"]),
        ("=5", ["table.key=value"]),
        ("method.bays.rule.lr=1", ["unknown method 'bays'", "'bayes'"]),
        ("method=3", ["[method.NAME.TABLE]"]),
    ],
)
def test_a_wrong_override_says_what_is_right(source, override, words):
    with pytest.raises(InputError) as error:
        change_config(source, override)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('methods = ["baies"]', ["'baies'", "'bayes'", "[method.baies.guide]"]),
        ('method = "baies"', ["'baies'", "'bayes'"]),
        ('methods = ["bayes"]\n[[method]]\nname = "bayes"', ["[method.NAME.TABLE]"]),
        ('methods = ["mine"]\n[method.mine.rule]\nlr = 0.1', ["'mine'", "[method.mine.guide]"]),
        ('methods = ["bayes"]\n[method.strait-through.rule]\nlr = 0.1', ["'straight-through'"]),
        ("methods = []", ["lists no methods"]),
        ("[data\n", ["not valid TOML"]),
        ('methods = ["bayes"]\n[network]\nhidden = [3]', ["data.name"]),
    ],
)
def test_a_wrong_file_says_what_is_right(tmp_path, text, words):
    path = tmp_path / "wrong.toml"
    path.write_text(text if "data" in text or "hidden" in text else f'{text}\n[data]\nname = "two-moons"')
    with pytest.raises(ConfigError) as error:
        plan(str(path))
    for word in words:
        assert word in str(error.value)


def test_a_method_of_ones_own_names_its_guide(source):
    tables = load_source(source)
    tables["methods"].append("cold")
    tables["method"]["cold"] = {"guide": {"name": "relaxed"}, "train": {"kl_weight": 0.01}}
    config = resolve(tables, "cold")
    assert (config.method, config.guide.name, config.train.kl_weight) == ("cold", "relaxed", 0.01)


def test_unknown_preset_method_and_file(source, tmp_path):
    with pytest.raises(ConfigError, match=r"no preset 'two-moon'.*'two-moons'"):
        preset_text("two-moon")
    with pytest.raises(ConfigError, match=r"unknown method 'bayse'.*'bayes'"):
        change_config(source, method="bayse")
    with pytest.raises(ConfigError, match=r"cannot read the config file .*none.toml"):
        load_source(str(tmp_path / "none.toml"))


def test_likelihood_must_suit_the_task(source):
    with pytest.raises(ConfigError, match="does not suit a classification"):
        built(change_config(source, "likelihood.name=gaussian"))
    with pytest.raises(ConfigError, match=r"set likelihood\.name = 'gaussian'"):
        built(resolve(load_source("curve"), "bayes", overrides={"likelihood": {"name": "steps"}}))


@pytest.mark.parametrize("rule", ["bayesian", "bimu"])
def test_some_rules_need_natural_parameters(source, rule):
    with pytest.raises(ConfigError, match=r"has none"):
        change_config(source, f"rule.name={rule}", "train.kl_weight=0", method="straight-through")


@pytest.mark.parametrize(("text", "seeds"), [("3", [3]), ("0-4", [0, 1, 2, 3, 4]), ("0,2,5-6", [0, 2, 5, 6])])
def test_seeds(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "4-2", "1,1", "0-2,1"])
def test_wrong_seeds(text):
    with pytest.raises(ConfigError, match="--seeds"):
        parse_seeds(text)


@pytest.mark.slow
def test_the_readmes_python_path_runs_as_it_stands(tmp_path):
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "accuracy" in done.stdout


def test_a_path_with_dots_is_the_folders_own(source, tmp_path, monkeypatch):
    (tmp_path / "mine" / "below").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "mine" / "below")
    (config,) = plan(source, ["bayes"], overrides=["data.name=events", "data.path=.."])
    assert config.data.path == str((tmp_path / "mine").resolve())
    assert config.data_settings["path"] == "mine"


def test_where_a_published_set_lies_is_no_setting_and_a_file_of_ones_own_is():
    sets = [plan("mnist", ["bayes"], overrides=[f"data.path={p}"])[0] for p in ("/a/mnist", "/b/mnist")]
    assert sets[0].data_settings == sets[1].data_settings
    files = [plan("two-moons", ["bayes"], overrides=["data.name=npz", f"data.path=/a/{n}"])[0] for n in "xy"]
    assert files[0].data_settings != files[1].data_settings


def test_a_tasks_values_are_refused_with_its_words(source):
    with pytest.raises(InputError, match="n_train"):
        build_task(change_config(source, "data.n_train=-3"))
