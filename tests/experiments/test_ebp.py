"""Expectation backpropagation through presets, run folders and the command line."""

import json

import numpy as np
import pytest

import bisnn_pyro
from bisnn_pyro.data import handwritten_digits
from bisnn_pyro.errors import ConfigError, ModelError
from bisnn_pyro.experiments import run as run_module
from bisnn_pyro.experiments.batch import plan
from bisnn_pyro.experiments.run import evaluate_folder, run
from tests.real_data import DATA, needs

ON_DIGITS = [
    "analysis.temperature_scaling=false",
    "data.name=digits",
    "network.hidden=[60]",
    "train.epochs=3",
    "predict.draws=5",
]
PREDICTORS = {"ebp": ["moments", "committee", "mode", "pruned"], "ebp-real": ["moments", "committee", "mode"]}


def config(method="ebp", *overrides):
    quick = ["analysis.figures=false", *ON_DIGITS, *overrides]
    return plan("mnist-ebp", [method], overrides=quick)[0]


def test_command_line_on_digits(bisnn, tmp_path):
    flags = [flag for key in ON_DIGITS for flag in ("--set", key)]
    done = bisnn("run", "mnist-ebp", "--out", tmp_path / "out", *flags)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    for method, at_least in (("ebp", 0.8), ("ebp-real", 0.8)):
        assert method in done.stdout
        text = (tmp_path / "out" / f"{method}-seed0" / "metrics.json").read_text()
        assert "NaN" not in text
        metrics = json.loads(text)
        assert list(metrics["predictors"]) == PREDICTORS[method]
        assert metrics["predictors"]["moments"]["accuracy"] > at_least
        assert all(np.isfinite(list(s.values())).all() for s in metrics["predictors"].values())
        assert metrics["kl_weight"] is None
    assert (tmp_path / "out" / "summary" / "reliability.png").is_file()


@pytest.mark.parametrize("method", ["ebp", "ebp-real"])
def test_a_loaded_run_predicts_as_it_did(method, tmp_path):
    result = run(config(method), tmp_path)
    posterior = bisnn_pyro.load_run(result.path)
    assert list(posterior.predictors) == PREDICTORS[method]
    task = handwritten_digits()
    low, high = posterior.preprocessing.scaler.low, posterior.preprocessing.scaler.high
    raw = task.test.x * (high - low) + low
    for predictor in PREDICTORS[method]:
        prediction = posterior.predict(raw, predictor=predictor)
        assert prediction.draws.shape == (5 if predictor == "committee" else 1, 599, 10)
        accuracy = (prediction.mean.argmax(-1) == task.test.y).mean()
        # A rounding in the scaling may turn a single unit.
        assert accuracy == pytest.approx(result.metrics["predictors"][predictor]["accuracy"], abs=0.005)
    again = evaluate_folder(result.path)
    assert again["predictors"] == result.metrics["predictors"]
    natural = posterior.guide.natural_parameters()
    assert set(natural) == {"layers.0.weight", "readout.weight"}


def test_resumed_run_has_the_same_bits(tmp_path, monkeypatch):
    import signal

    whole = run(config(), tmp_path / "whole")
    original = run_module._Checkpoints.__call__

    def stopping(self, history, make):
        original(self, history, make)
        if len(history) == 1:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(run_module._Checkpoints, "__call__", stopping)
        assert run(config(), tmp_path / "cut").interrupted
    resumed = run(config(), tmp_path / "cut", resume=True)
    files = [r.path / "posterior.safetensors" for r in (whole, resumed)]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert resumed.metrics["predictors"] == whole.metrics["predictors"]


def test_keys_that_mean_nothing_to_it_are_refused(tmp_path):
    for key in ("rule.lr=0.1", "rule.name=adam", "train.kl_weight=0.5"):
        with pytest.raises((ConfigError, ModelError), match="expectation"):
            run(config("ebp", key), tmp_path)
    with pytest.raises(ModelError, match=r"encoder\.n_steps = 1"):
        run(config("ebp", "encoder.n_steps=3"), tmp_path)
    with pytest.raises(ModelError, match=r"network\.name = 'sign'"):
        run(plan("digits", ["ebp"], overrides=["analysis.figures=false"])[0], tmp_path)
    with pytest.raises((ConfigError, ModelError), match="dropout"):
        run(config("ebp", "guide.dropout=0.2"), tmp_path)
    assert not list(tmp_path.glob("*/posterior.safetensors"))


def test_another_method_runs_on_the_network_of_sign_units(tmp_path):
    metrics = run(config("straight-through", "guide.init_scale=0.1"), tmp_path).metrics
    assert list(metrics["predictors"]) == ["mode"]
    assert metrics["predictors"]["mode"]["accuracy"] > 0.3


@needs("mnist")
@pytest.mark.parametrize("method", ["ebp", "ebp-real"])
def test_preset_at_reduced_size(method, tmp_path):
    keys = ["data.n_train=2000", "data.n_val=500", "data.n_test=1000", "train.epochs=2", "predict.draws=3"]
    keys += [f"data.path={DATA / 'mnist'}", "network.hidden=[200]", "analysis.figures=false"]
    metrics = run(plan("mnist-ebp", [method], overrides=keys)[0], tmp_path).metrics
    assert metrics["predictors"]["moments"]["accuracy"] > 0.8


@pytest.mark.parametrize("key", ["normalise=true", "burn_in=1", "credit=end-to-end", "neuron.name=escape"])
def test_keys_of_a_spiking_network_are_refused(key):
    with pytest.raises(ConfigError, match=r"name = 'sign'|SignNetwork"):
        config("ebp", f"network.{key}")


def test_the_wide_start_is_that_of_its_own_methods():
    assert config("ebp").guide.init_scale == config("ebp-real").guide.init_scale == 20
    assert config("bayes").guide.init_scale == 0.1
