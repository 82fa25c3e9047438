"""The table [augment]: from the config to the training examples alone, through a resume too."""

import signal

import pytest
import torch

from bisnn_pyro.data import SpikeAugmentation
from bisnn_pyro.errors import ConfigError, InputError
from bisnn_pyro.experiments import run as run_module
from bisnn_pyro.experiments.batch import plan
from bisnn_pyro.experiments.build import build_augmentation, build_task
from bisnn_pyro.experiments.run import evaluate_folder, run
from tests.experiments.spikes import SHAPE, spikes_configs

ALL = [
    "augment.shift=1",
    "augment.flip=true",
    "augment.time_shift=1",
    "augment.time_jitter=1",
    "augment.drop=0.1",
]


def test_from_the_config(tmp_path):
    (config,) = spikes_configs(tmp_path, overrides=ALL)
    task = build_task(config)
    assert build_augmentation(config, task) == SpikeAugmentation(1, True, 1, 1, 0.1, SHAPE)
    (plain,) = spikes_configs(tmp_path)
    assert build_augmentation(plain, task) is None


def test_it_changes_training_and_nothing_else(tmp_path, monkeypatch):
    seen = []
    original = SpikeAugmentation.__call__

    def spy(self, x, generator):
        seen.append(len(x))
        return original(self, x, generator)

    monkeypatch.setattr(SpikeAugmentation, "__call__", spy)
    (config,) = spikes_configs(tmp_path, overrides=[*ALL, "network.normalise=true"])
    (plain,) = spikes_configs(tmp_path, overrides=["network.normalise=true"])
    result = run(config, tmp_path / "a")
    assert seen == [8, 8, 8, 6] * 3  # no example of the reference batch, none for validation or test
    evaluate_folder(result.path)
    assert len(seen) == 12
    without = run(plain, tmp_path / "b")
    assert len(seen) == 12
    assert result.metrics["predictors"] != without.metrics["predictors"]


def test_resume_gives_the_bits_of_one_run(tmp_path, monkeypatch):
    (config,) = spikes_configs(tmp_path, overrides=ALL)
    whole = run(config, tmp_path / "whole")
    original = run_module._Checkpoints.__call__

    def interrupt(self, history, make):
        original(self, history, make)
        if len(history) == 1:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(run_module._Checkpoints, "__call__", interrupt)
        assert run(config, tmp_path / "cut").interrupted
    resumed = run(config, tmp_path / "cut", resume=True)
    paths = [r.path / "posterior.safetensors" for r in (whole, resumed)]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert resumed.metrics["predictors"] == whole.metrics["predictors"]


def test_images_can_be_shifted(tmp_path):
    text = """
experiment = "images"
methods = ["bayes"]
[data]
name = "digits"
[encoder]
name = "rate"
n_steps = 5
[network]
hidden = [8]
[augment]
shift = 1
"""
    (tmp_path / "images.toml").write_text(text)
    (config,) = plan(str(tmp_path / "images.toml"), ["bayes"])
    task = build_task(config)
    augment = build_augmentation(config, task)
    x = torch.as_tensor(task.train.x[:4])
    changed = augment(x, torch.Generator().manual_seed(0))
    assert changed.shape == x.shape
    assert not torch.equal(changed, x)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("augment.shift=1", "image shape is None"),
        ("augment.time_shift=1", "time_shift of inputs"),
        ("augment.time_jitter=2", "time_jitter of inputs"),
        ("augment.drop=0.1", "drop of inputs"),
    ],
)
def test_features_without_images_or_time_are_refused_before_anything_is_written(
    source, tmp_path, override, message
):
    (config,) = plan(source, ["bayes"], overrides=[override])
    with pytest.raises(ConfigError, match=rf"\[augment\] does not suit the data: .*{message}"):
        run(config, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("override", "message"),
    [("augment.shift=3", "less than their sides"), ("augment.time_shift=12", "less than the 12 steps")],
)
def test_too_far(tmp_path, override, message):
    (config,) = spikes_configs(tmp_path, overrides=[override])
    with pytest.raises(ConfigError, match=message):
        run(config, tmp_path / "out")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("augment.shift=-1", "shift"),
        ("augment.drop=1", "drop"),
        ("augment.jitter=1", "did you mean 'time_jitter'"),
        ("augment=3", r"\[augment\] is a table"),
    ],
)
def test_wrong_keys_and_values(source, override, message, tmp_path):
    with pytest.raises(InputError, match=message):
        run(plan(source, ["bayes"], overrides=[override])[0], tmp_path / "out")
    assert not (tmp_path / "out").exists()
