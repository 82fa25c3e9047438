"""Convolutional and recurrent networks from a config, on scikit-learn's digits."""

import json

import numpy as np
import pytest
import torch

import bisnn_pyro
from bisnn_pyro.errors import ConfigError, InputError, ModelError
from bisnn_pyro.experiments.batch import plan
from bisnn_pyro.experiments.build import build_encoder, build_model, build_task
from bisnn_pyro.experiments.run import run

CONV = '{kind = "conv", channels = 4, kernel = 3, padding = 1, pool = 2}'
RECURRENT = '{kind = "dense", units = 8, recurrent = true}'
SMALL = [
    "data.n_train=60",
    "encoder.n_steps=6",
    "network.burn_in=1",
    "train.epochs=2",
    "train.reference_size=10",
    "predict.draws=3",
    "analysis.noise=[]",
    "analysis.figures=false",
]


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def one(*overrides, source="digits"):
    (config,) = plan(source, ["bayes"], overrides=overrides)
    return config


def build(*overrides, source="digits"):
    config = one(*overrides, source=source)
    task = build_task(config)
    return build_model(config, task, build_encoder(config, task))


@pytest.mark.parametrize("method", ["bayes", "straight-through", "gaussian", "full-precision"])
@pytest.mark.parametrize("hidden", [f"[{CONV}, 12]", f"[{CONV}, {RECURRENT}]"])
def test_a_run_and_its_folder(tmp_path, method, hidden):
    (config,) = plan("digits", [method], overrides=[*SMALL, f"network.hidden={hidden}"])
    result = run(config, tmp_path / "run")
    assert all(np.isfinite(scores["nll"]) for scores in result.metrics["predictors"].values())
    fitted = bisnn_pyro.load_run(result.path)
    assert fitted.config == config, "the config.toml says the same layers"
    task = build_task(config)
    again = fitted.predict_scaled(task.test.x)
    assert again.path == "dense"
    accuracy = float((again.mean.argmax(1) == task.test.y).mean())
    first = next(iter(fitted.predictors))
    assert accuracy == pytest.approx(result.metrics["predictors"][first]["accuracy"])
    bits = 1 if method in ("bayes", "straight-through") else 32
    synapses = sum(o * i for o, i in fitted.model.weight_shapes.values())
    units = 4 + fitted.model.synapses[1].fan_out  # one normalisation a channel
    assert result.metrics["weight_bits"]["mode"] == bits * synapses + 64 * units
    assert result.metrics["spikes_per_inference"]["mode"] > 0


@pytest.mark.parametrize(
    "overrides",
    [
        ["network.credit=end-to-end", "network.readout=trained", "train.particles=2"],
        ["network.normalise=false", "train.window=2"],
        ["network.neuron.name=escape"],
        ["encoder.name=rate"],
    ],
    ids=str,
)
def test_other_settings(tmp_path, overrides):
    hidden = f"network.hidden=[{CONV}, {RECURRENT}]"
    (config,) = plan("digits", ["bayes"], overrides=[*SMALL, hidden, *overrides])
    result = run(config, tmp_path / "run")
    assert np.isfinite(result.metrics["predictors"]["committee"]["nll"])


def test_single_step_convolution(tmp_path):
    keys = [
        "network.neuron.name=single-step",
        "encoder.n_steps=1",
        "network.burn_in=0",
        "network.neuron.threshold=0.5",
    ]
    (config,) = plan("digits", ["bayes"], overrides=[*SMALL, f"network.hidden=[{CONV}, 12]", *keys])
    assert np.isfinite(run(config, tmp_path / "run").metrics["predictors"]["committee"]["nll"])


def test_the_command_line(bisnn, tmp_path):
    sets = [x for key in (*SMALL, f"network.hidden=[{CONV}, 8]") for x in ("--set", key)]
    done = bisnn("run", "digits", "-m", "bayes", "--out", tmp_path / "runs", *sets)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "runs" / "bayes-seed0" / "metrics.json").read_text())
    assert set(metrics["predictors"]) == {"committee", "mode", "mean", "pruned"}
    too_large = 'network.hidden=[{kind = "conv", channels = 4, kernel = 9}]'
    done = bisnn("run", "digits", "-m", "bayes", "--out", tmp_path / "bad", *sets, "--set", too_large)
    assert done.returncode == 2
    assert "a kernel of 9 x 9 does not fit into images of 8 x 8" in done.stderr


def test_layers_of_a_config_file(tmp_path):
    path = tmp_path / "deep.toml"
    path.write_text(
        'experiment = "deep"\nmethods = ["bayes"]\n[data]\nname = "digits"\n[encoder]\nname = "direct"\n'
        '[network]\n[[network.hidden]]\nkind = "conv"\nchannels = 4\nkernel = 3\n'
        '[[network.hidden]]\nkind = "dense"\nunits = 5\nrecurrent = true\n'
    )
    (config,) = plan(str(path), ["bayes"])
    task = build_task(config)
    model = build_model(config, task, build_encoder(config, task))
    assert model.weight_shapes == {
        "layers.0.weight": (4, 9),
        "layers.1.weight": (5, 4 * 6 * 6),
        "layers.1.recurrent": (5, 5),
    }
    # A later override replaces the layers, whatever they were.
    (config,) = plan(str(path), ["bayes"], overrides=["network.hidden=[7]"])
    assert config.network.hidden == (7,)


@pytest.mark.parametrize(
    ("hidden", "words"),
    [
        ("[{kind='conv', channels=4}]", ["network.hidden[0]", "lacks the key 'kernel'"]),
        ("[8, {kind='conv', channels=4, kernal=3}]", ["network.hidden[1]", "unknown key 'kernal'"]),
        ("[{kind='pool', channels=4}]", ["network.hidden[0]", "kind = 'dense' or kind = 'conv'"]),
        ("[{channels=4, kernel=3}]", ["network.hidden[0]", "lacks kind = "]),
        (
            "[{kind='conv', channels=4, kernel=0}]",
            ["network.hidden[0]", "kernel must be", "not 0"],
        ),
        (
            "[{kind='conv', channels=4, kernel=3, pooling='min'}]",
            ["pooling = ", "must be 'max' or 'mean'"],
        ),
    ],
)
def test_bad_layers_are_refused(hidden, words):
    with pytest.raises(ConfigError) as error:
        one(f"network.hidden={hidden}")
    assert all(word in str(error.value) for word in words), str(error.value)


def test_a_convolution_needs_images():
    with pytest.raises(ConfigError, match="the data have no image shape: use dense layers"):
        build(f"network.hidden=[{CONV}]", source="two-moons")
    with pytest.raises(ConfigError, match=r"'population' makes 640 inputs of images .*'rate', 'latency'"):
        build(f"network.hidden=[{CONV}]", "encoder.name=population")
    with pytest.raises(ModelError, match="hidden layer 1: a convolution cannot follow a dense layer"):
        build(f"network.hidden=[12, {CONV}]")


def test_lateral_synapses_need_a_neuron_that_has_them():
    with pytest.raises(InputError, match="SingleStepNeuron cannot have lateral synapses"):
        build(f"network.hidden=[{RECURRENT}]", "network.neuron.name=single-step")


def test_sign_units_have_plain_dense_layers():
    with pytest.raises(ConfigError, match=r"network\.hidden = .*must be a list \(a whole number\)"):
        plan("mnist-ebp", ["ebp"], overrides=["data.name=digits", f"network.hidden=[{RECURRENT}]"])
    with pytest.raises(InputError, match="at least 1, not 0"):
        build("network.hidden=[0]")
