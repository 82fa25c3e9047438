"""Exported networks against the runs that they come from."""

import subprocess
import sys
import textwrap

import numpy as np
import pyro
import pytest
import torch

import bisnn_pyro
from bisnn_pyro.errors import ConfigError, DataError, RunFolderError
from bisnn_pyro.experiments.batch import plan
from bisnn_pyro.experiments.build import build_task
from bisnn_pyro.experiments.folder import RunFolder
from bisnn_pyro.experiments.run import new_fit
from bisnn_pyro.exports.format import read_file, write_file
from bisnn_pyro.exports.writing import export
from bisnn_pyro.inference import encode_all, point_draws, predict
from bisnn_pyro.models import ThresholdNeuron

TINY = """
experiment = "tiny"
methods = ["bayes"]
[data]
name = "two-moons"
n_test = 30
[encoder]
name = "rate"
n_steps = 15
[network]
hidden = [16, 12]
[guide]
init_scale = 1.0
[predict]
draws = 5
"""

SPIKING = [
    "network.burn_in=2",
    "network.gain=4.0",
    "network.neuron.tau_membrane=3.0",
    "network.neuron.tau_synapse=2.0",
]
DIGITS = ["data.name=digits"]

VARIANTS = {
    "plain": SPIKING,
    "bias": [*SPIKING, "network.bias=true", "encoder.name=direct"],
    "normalised": [*SPIKING, "network.normalise=true"],
    "trained": [
        *SPIKING,
        "network.readout=trained",
        "network.credit=end-to-end",
        "network.normalise=true",
    ],
    "categorical": [*SPIKING, "likelihood.name=categorical-rate"],
    "dirichlet": [*SPIKING, "likelihood.name=dirichlet"],
    "spike-train": [
        *SPIKING,
        "network.readout=trained",
        "network.credit=end-to-end",
        "likelihood.name=spike-train",
    ],
    "single-step": [
        "network.burn_in=2",
        "network.neuron.name=single-step",
        "network.neuron.threshold=0.2",
        "network.normalise=true",
    ],
    "recurrent": [
        *SPIKING,
        'network.hidden=[16, {kind="dense", units=12, recurrent=true}]',
        "network.bias=true",
    ],
    "curve": [*SPIKING, "data.name=curve", "likelihood.name=gaussian"],
    "conv": [
        *SPIKING,
        *DIGITS,
        'network.hidden=[{kind="conv", channels=4, kernel=3, padding=1, pool=2}, '
        '{kind="conv", channels=3, kernel=2, stride=1, pooling="mean", pool=2}, 6]',
        "network.normalise=true",
    ],
    "conv-bias": [
        *SPIKING,
        *DIGITS,
        'network.hidden=[{kind="conv", channels=4, kernel=3, stride=2}]',
        "network.bias=true",
    ],
    "escape": [*SPIKING, "network.neuron.name=escape", "network.normalise=true"],
    "escape-recurrent": [
        *SPIKING,
        'network.hidden=[{kind="dense", units=12, recurrent=true}, 8]',
        "network.neuron.name=escape",
    ],
    "signs": [
        *DIGITS,
        "network.name=sign",
        "likelihood.name=probit",
        "encoder.name=direct",
        "encoder.n_steps=1",
    ],
}


def untrained(folder, method="bayes", overrides=SPIKING):
    """A run folder with a posterior of random parameters: its path, the run, and test inputs."""
    folder.mkdir(exist_ok=True)
    source = folder / "tiny.toml"
    source.write_text(TINY)
    (config,) = plan(str(source), [method], overrides=overrides, trust=True)
    task = build_task(config)
    fitted = new_fit(config, task, trust=True)
    torch.manual_seed(1)
    inputs = encode_all(fitted.encoder, torch.as_tensor(task.train.x[:9]), 0)[0].float()
    with pyro.get_param_store().scope():
        fitted.guide.initialize(inputs, torch.as_tensor(task.train.y[:9]))
    with torch.no_grad():
        for p in fitted.model.parameters():
            p += 0.3 * torch.randn_like(p)
        if fitted.model.normalise:
            fitted.model.set_reference(inputs)
    place = RunFolder(folder / "run")
    place.path.mkdir()
    place.write_config(config)
    fitted.save(place)
    place.write_json("metrics.json", {"predictors": {"mode": {"nll": 1.0}}})
    place.seal()
    return place.path, bisnn_pyro.load_run(place.path, trust=True), task.test.x[:30]


@pytest.mark.parametrize("name", VARIANTS)
def test_numpy_predicts_as_the_run_does(name, tmp_path):
    path, fitted, x = untrained(tmp_path, "ebp" if name == "signs" else "bayes", VARIANTS[name])
    found = bisnn_pyro.read_export(export(path))
    blocks = fitted.encode(x)
    for site, w in fitted.guide.mode().items():
        np.testing.assert_array_equal(found.weights[site], w.numpy())

    back = {site: torch.tensor(found.weights[site], dtype=torch.float32) for site in fitted.guide.mode()}
    own = fitted.predict_scaled(blocks, predictor="mode")
    again = predict(fitted.model, point_draws(back), blocks, n_draws=1, seed=fitted.config.predict.seed)
    np.testing.assert_array_equal(again.draws, own.draws)

    alone = found.predict(blocks[0].numpy())
    assert alone.shape == own.mean.shape
    # A potential that rounds to the other side of the threshold may turn a spike, in an example or two.
    off = np.abs(alone - own.mean).reshape(len(alone), -1).max(1)
    assert (off < 1e-4).mean() > 0.9, off
    assert own.mean.std(0).max() > 0.005  # inputs matter


def test_a_member_is_that_of_the_committee(tmp_path):
    path, fitted, x = untrained(tmp_path)
    members = fitted.guide.sample_posterior(5, seed=fitted.config.predict.seed, scheme="latin-hypercube")
    votes = fitted.predict_scaled(x).draws
    for k in (0, 3):
        file = export(path, member=k)
        assert file.name == f"member-{k}.bisnn"
        found = bisnn_pyro.read_export(file)
        assert found.header["network"] == f"member-{k}"
        for site, w in members.items():
            np.testing.assert_array_equal(found.weights[site], w[k].numpy())
        assert np.median(np.abs(found.predict(fitted.encode(x)[0].numpy()) - votes[k])) < 1e-5


def test_escape_noise_has_the_right_size(tmp_path):
    path, fitted, x = untrained(tmp_path, "bayes", [*SPIKING, "network.neuron.name=escape"])
    found = bisnn_pyro.read_export(export(path))
    inputs = fitted.encode(x)[0]
    assert not np.array_equal(found.readout(inputs.numpy(), seed=0), found.readout(inputs.numpy(), seed=1))
    mine = np.mean([found.predict(inputs.numpy(), seed=k) for k in range(100)], axis=0)
    weights = {k: w.expand(100, *w.shape) for k, w in fitted.guide.mode().items()}
    own = predict(
        fitted.model, lambda first, n: {k: w[:n] for k, w in weights.items()}, [inputs], n_draws=100
    )
    np.testing.assert_allclose(mine, own.mean, atol=0.03)


def test_size_and_header(tmp_path):
    path, *_ = untrained(tmp_path, "straight-through")
    file = export(path, tmp_path / "deep" / "net.bin")
    found = bisnn_pyro.read_export(file)
    assert (
        found.n_bytes == (2 * 16 + 16 * 12 + 12) // 8 + 1 + 4 * 6
    )  # a read-out of 12, rounded up to 2 bytes
    head = found.header
    assert (head["n_inputs"], head["n_steps"], head["burn_in"]) == (2, 15, 2)
    assert head["classes"] == ["0", "1"]
    assert head["encoder"] == {"name": "rate", "n_steps": 15, "max_rate": 1.0}
    assert head["likelihood"] == {"kind": "sigmoid"}
    assert head["neuron"]["kind"] == "threshold"
    with pytest.raises(DataError, match=r"expected \[T, B, 2\]"):
        found.predict(np.zeros((15, 3, 4)))
    with pytest.raises(DataError, match="burn-in of 2"):
        found.predict(np.zeros((2, 3, 2)))


def test_what_cannot_be_exported(tmp_path):
    path, *_ = untrained(tmp_path / "real", "full-precision")
    with pytest.raises(RunFolderError, match="real weights"):
        export(path)
    assert not list(path.glob("*.bisnn"))
    path, *_ = untrained(tmp_path / "point", "straight-through")
    with pytest.raises(RunFolderError, match="leave --member out"):
        export(path, member=0)
    path, *_ = untrained(tmp_path / "bayes")
    for member in (-1, 5):
        with pytest.raises(RunFolderError, match="--member 0 to 4"):
            export(path, member=member)
    own = "network.neuron.name=tests.exports.test_network:OwnNeuron"
    path, *_ = untrained(tmp_path / "own", "bayes", [*SPIKING, own])
    with pytest.raises(ConfigError, match="trust"):
        export(path)
    with pytest.raises(RunFolderError, match="OwnNeuron"):
        export(path, trust=True)


class OwnNeuron(ThresholdNeuron):
    pass


def test_a_file_that_lacks_what_it_promises(tmp_path):
    path, *_ = untrained(tmp_path)
    header, arrays = read_file(export(path))
    signs = {name: a for name, a in arrays.items() if a.dtype == np.int8}
    constants = {name: a for name, a in arrays.items() if name not in signs}
    header.pop("arrays")
    broken = tmp_path / "broken.bisnn"
    for changes, lacking in (
        ({"layers": header["layers"][:1]}, None),
        ({"neuron": {"kind": "threshold"}}, None),
        ({"likelihood": {"kind": "oracle"}}, None),
        ({}, "layers.1.scale"),
    ):
        write_file(broken, {**header, **changes}, signs, {k: v for k, v in constants.items() if k != lacking})
        with pytest.raises(DataError, match=r"broken\.bisnn is not as the format says"):
            bisnn_pyro.read_export(broken)


def test_reading_needs_numpy_alone(tmp_path):
    path, fitted, x = untrained(tmp_path)
    file = export(path)
    np.save(tmp_path / "x.npy", fitted.encode(x)[0].numpy())
    code = f"""
        import sys
        import numpy as np
        import bisnn_pyro
        found = bisnn_pyro.read_export({str(file)!r})
        print(found.predict(np.load({str(tmp_path / "x.npy")!r}))[0, 0])
        assert not {{"torch", "pyro", "arviz", "numba"}} & set(sys.modules)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(
        float(fitted.predict_scaled(x, predictor="mode").mean[0, 0]), abs=1e-5
    )
