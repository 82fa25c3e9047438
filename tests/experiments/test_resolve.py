"""Configs: presets, overrides, and messages that name the nearest right key."""

import tomllib

import numpy as np
import pytest
from scipy import io

from bisnn_pyro.errors import ConfigError
from bisnn_pyro.experiments.batch import parse_seeds, plan
from bisnn_pyro.experiments.build import build_encoder, build_learner, build_task
from bisnn_pyro.experiments.resolve import load_source, parse_overrides, preset_names, preset_text, resolve
from bisnn_pyro.experiments.run import new_fit
from tests.data import idx_files
from tests.data.events import writers


def one(source, method="bayes", *overrides, seed=0):
    return resolve(load_source(source), method, overrides=parse_overrides(overrides), seed=seed)


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
        task = build_task(config)
        fitted = new_fit(config, task)
        build_learner(config, fitted.model, fitted.guide, fitted.encoder)
        assert fitted.model.synapses[0].n_inputs == build_encoder(config, task).n_inputs(task.n_features)


def test_a_method_overrides_the_common_table_and_the_command_line_overrides_both(source):
    assert one(source).rule.lr == 0.05
    assert one(source, "straight-through").rule.lr == 0.01
    assert one(source, "straight-through", "rule.lr=0.5").rule.lr == 0.5
    assert one(source, "bayes", "method.straight-through.rule.lr=0.5").rule.lr == 0.05
    assert one(source, "bayes", "method.bayes.rule.lr=0.5").rule.lr == 0.5


def test_the_method_selects_the_guide(source):
    guides = [one(source, m).guide.name for m in ("bayes", "straight-through", "full-precision", "gaussian")]
    assert guides == ["relaxed", "straight-through", "full-precision", "gaussian"]


def test_the_order_of_overrides_does_not_matter(source):
    pair = ["data.path=x.npz", "data.name=npz"]
    for overrides in (pair, pair[::-1]):
        settings = one(source, "bayes", *overrides).data.settings
        assert settings["path"].endswith("/x.npz")


def test_the_seed_comes_from_the_source_unless_given(source):
    tables = load_source(source) | {"seed": 7}
    assert resolve(tables, "bayes").seed == 7
    assert resolve(tables, "bayes", seed=0).seed == 0
    assert resolve(tables, "bayes", overrides={"seed": 5}).seed == 5


def test_a_resolved_config_is_of_its_method_alone(source):
    tables = one(source, "straight-through").to_dict()
    assert resolve(tables, "straight-through").guide.name == "straight-through"
    with pytest.raises(ConfigError, match="this config is of straight-through"):
        resolve(tables, "bayes")


def test_a_method_named_twice_is_refused(source):
    with pytest.raises(ConfigError, match="named twice"):
        plan(source, ["bayes", "bayes"])


def test_the_rule_follows_the_guide(source):
    config = one(source, "gaussian")
    task = build_task(config)
    fitted = new_fit(config, task)
    build_learner(config, fitted.model, fitted.guide, fitted.encoder)
    assert config.rule.name == "auto"


def test_another_data_set_drops_the_old_ones_keys(source):
    config = one(source, "bayes", "data.name=digits", "encoder.name=rate")
    assert config.data.settings == {}
    assert config.encoder.settings == {}
    assert one(source, "bayes", "data.noise=0.2").data.settings["n_train"] == 24


def test_the_resolved_config_resolves_to_itself(source, tmp_path):
    import tomli_w

    config = one(source, "bayes", seed=3)
    again = tmp_path / "config.toml"
    again.write_text(tomli_w.dumps(config.to_dict()))
    assert plan(str(again), seeds=[3]) == [config]


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("train.epoch=5", ["unknown key 'epoch' in [train]", "did you mean 'epochs'?"]),
        ("trian.epochs=5", ["unknown key 'trian'", "did you mean 'train'?"]),
        ("train.epochs=0", ["train.epochs", "greater than or equal to 1", "0"]),
        ("train.epochs=many", ["train.epochs", "'many'"]),
        ("network.surrogate=boxcat", ["network.surrogate", "did you mean 'boxcar'?"]),
        ("network.neuron=treshold", ["network.neuron", "did you mean 'threshold'?", "package.module:Class"]),
        ("prior.p=1.0", ["prior.p"]),
        ("train=5", ["[train] is a table"]),
        ("epochs", ["table.key=value"]),
        ("=5", ["table.key=value"]),
        ("method.bays.rule.lr=1", ["unknown method 'bays'", "did you mean 'bayes'?"]),
    ],
)
def test_a_wrong_override_says_what_is_right(source, override, words):
    with pytest.raises(ConfigError) as error:
        one(source, "bayes", override)
    for word in words:
        assert word in str(error.value)


def test_a_wrong_data_key_names_the_nearest(source):
    from bisnn_pyro.errors import DataError

    with pytest.raises(DataError, match=r"n_trian.*did you mean 'n_train'"):
        build_task(one(source, "bayes", "data.n_trian=5"))


def test_unknown_preset_method_file_and_toml(source, tmp_path):
    with pytest.raises(ConfigError, match=r"no preset 'two-moon'.*did you mean 'two-moons'"):
        preset_text("two-moon")
    with pytest.raises(ConfigError, match=r"unknown method 'bayse'.*did you mean 'bayes'"):
        one(source, "bayse")
    with pytest.raises(ConfigError, match=r"cannot read the config file .*none.toml"):
        load_source(str(tmp_path / "none.toml"))
    broken = tmp_path / "broken.toml"
    broken.write_text("[data\n")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_source(str(broken))
    broken.write_text("methods = []\n")
    with pytest.raises(ConfigError, match="lists no methods"):
        plan(str(broken))


def test_likelihood_must_suit_the_task(source):
    wrong = one(source, "bayes", "likelihood.name=gaussian")
    with pytest.raises(ConfigError, match="does not suit a classification"):
        new_fit(wrong, build_task(wrong))
    wrong = resolve(load_source("curve"), "bayes", overrides={"likelihood": {"name": "steps"}})
    with pytest.raises(ConfigError, match=r"set likelihood\.name = 'gaussian'"):
        new_fit(wrong, build_task(wrong))


def test_the_bayesian_rule_needs_natural_parameters(source):
    config = one(source, "straight-through", "rule.name=bayesian")
    task = build_task(config)
    fitted = new_fit(config, task)
    learner = build_learner(config, fitted.model, fitted.guide, fitted.encoder)
    with pytest.raises(ConfigError, match="has none"):
        learner.make_optimisers(fitted.model, fitted.guide)


def test_references_to_ones_own_classes(source):
    config = one(source, "bayes", "network.neuron=bisnn_pyro.models:EscapeNeuron")
    assert type(new_fit(config, build_task(config)).model.neuron).__name__ == "EscapeNeuron"
    config = one(source, "bayes", "network.neuron=bisnn_pyro.models:Missing")
    with pytest.raises(ConfigError, match=r"network.neuron = .*cannot be imported"):
        new_fit(config, build_task(config))


@pytest.mark.parametrize(("text", "seeds"), [("3", [3]), ("0-4", [0, 1, 2, 3, 4]), ("0,2,5-6", [0, 2, 5, 6])])
def test_seeds(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "4-2", "1,1", "0-2,1"])
def test_wrong_seeds(text):
    with pytest.raises(ConfigError, match="--seeds"):
        parse_seeds(text)


def test_presets_are_valid_toml_with_a_description():
    for name in preset_names():
        tables = tomllib.loads(preset_text(name))
        assert tables["experiment"] == name
        assert tables["description"]


def test_the_train_table_has_every_setting_of_the_learner_with_its_default():
    from dataclasses import fields

    from bisnn_pyro.experiments.config import TrainConfig
    from bisnn_pyro.inference import TrainSettings

    for setting in fields(TrainSettings):
        if setting.name != "progress":  # the command line's own
            assert TrainConfig.model_fields[setting.name].default == setting.default, setting.name


def test_a_method_cannot_be_another_ones_guide(source):
    with pytest.raises(ConfigError, match="choose the method instead"):
        one(source, "straight-through", "guide.name=relaxed")


@pytest.mark.parametrize(
    "override", ["network.settings.foo=1", "network.settings.neuron.foo=1", "likelihood.settings.foo=1"]
)
def test_settings_that_nothing_takes_are_refused(source, override):
    config = one(source, "bayes", override)
    with pytest.raises(ConfigError, match="for a class of your own"):
        new_fit(config, build_task(config))


@pytest.mark.parametrize("key", ["network.neuron", "likelihood.name", "encoder.name"])
def test_a_class_of_another_kind_is_refused(source, key):
    config = one(source, "bayes", f"{key}=collections:OrderedDict")
    with pytest.raises(ConfigError, match=r"OrderedDict|cannot be made"):
        new_fit(config, build_task(config))


@pytest.mark.slow
def test_the_readmes_python_path_runs_as_it_stands(tmp_path):
    import re
    import subprocess
    import sys
    from pathlib import Path

    readme = (Path(__file__).parents[2] / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "accuracy" in done.stdout


def test_the_surrogate_left_to_the_neuron_is_named_in_the_config(source):
    assert one(source).network.surrogate == "boxcar"
    assert one(source, "bayes", "network.neuron=single-step").network.surrogate == "single-step"
    assert one(
        source, "bayes", "network.neuron=single-step", "network.surrogate=triangle"
    ).network.surrogate == ("triangle")


def test_a_path_with_dots_is_the_folders_own(source, tmp_path, monkeypatch):
    (tmp_path / "mine" / "below").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "mine" / "below")
    (config,) = plan(source, ["bayes"], overrides=["data.name=events", "data.path=.."])
    assert config.data.settings["path"] == str((tmp_path / "mine").resolve())
    assert config.data_settings["path"] == "mine"


def test_where_a_published_set_lies_is_no_setting_and_a_file_of_ones_own_is():
    configs = [
        plan("mnist", ["bayes"], overrides=[f"data.path={path}"])[0] for path in ("/a/mnist", "/b/mnist")
    ]
    assert configs[0].data_settings == configs[1].data_settings
    files = [plan("two-moons", ["bayes"], overrides=["data.name=npz", f"data.path=/a/{n}"])[0] for n in "xy"]
    assert files[0].data_settings != files[1].data_settings
