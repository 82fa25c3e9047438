"""Data: tasks checked at the door, and encoders that turn features into spikes.

Names are imported at their first use, so that listing presets does not wait for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bisnn_pyro.data.arrays import load_npz
    from bisnn_pyro.data.augmentation import SpikeAugmentation
    from bisnn_pyro.data.corruption import gaussian_noise
    from bisnn_pyro.data.digits import handwritten_digits
    from bisnn_pyro.data.encoders import (
        BernoulliRateEncoder,
        DirectEncoder,
        Encoder,
        LatencyEncoder,
        PopulationEncoder,
        SpikesEncoder,
    )
    from bisnn_pyro.data.events.binning import Binning
    from bisnn_pyro.data.events.own import event_folder
    from bisnn_pyro.data.events.record import Events
    from bisnn_pyro.data.events.recordings import Recordings
    from bisnn_pyro.data.events.sets import dvs_gesture, mnist_dvs, nmnist, poker_dvs, shd
    from bisnn_pyro.data.images import fashion_mnist, mnist
    from bisnn_pyro.data.labels import LabelMap
    from bisnn_pyro.data.matlab import load_mat
    from bisnn_pyro.data.registry import encoder_settings, has_folds, load_task, make_encoder, task_settings
    from bisnn_pyro.data.scaling import FeatureScaler, TargetScaler
    from bisnn_pyro.data.standard_encoder import StandardEncoder
    from bisnn_pyro.data.standardising import Standardiser
    from bisnn_pyro.data.synthetic import CurveGrid, curve, curve_grid, curve_truth, two_moons
    from bisnn_pyro.data.task import Split, Task

_HOME = {
    "BernoulliRateEncoder": "encoders",
    "Binning": "events.binning",
    "CurveGrid": "synthetic",
    "DirectEncoder": "encoders",
    "Encoder": "encoders",
    "Events": "events.record",
    "FeatureScaler": "scaling",
    "LabelMap": "labels",
    "LatencyEncoder": "encoders",
    "PopulationEncoder": "encoders",
    "Recordings": "events.recordings",
    "SpikeAugmentation": "augmentation",
    "SpikesEncoder": "encoders",
    "Split": "task",
    "StandardEncoder": "standard_encoder",
    "Standardiser": "standardising",
    "TargetScaler": "scaling",
    "Task": "task",
    "curve": "synthetic",
    "curve_grid": "synthetic",
    "curve_truth": "synthetic",
    "dvs_gesture": "events.sets",
    "encoder_settings": "registry",
    "event_folder": "events.own",
    "fashion_mnist": "images",
    "gaussian_noise": "corruption",
    "handwritten_digits": "digits",
    "has_folds": "registry",
    "load_mat": "matlab",
    "load_npz": "arrays",
    "load_task": "registry",
    "make_encoder": "registry",
    "mnist": "images",
    "mnist_dvs": "events.sets",
    "nmnist": "events.sets",
    "poker_dvs": "events.sets",
    "shd": "events.sets",
    "task_settings": "registry",
    "two_moons": "synthetic",
}

__all__ = [
    "BernoulliRateEncoder",
    "Binning",
    "CurveGrid",
    "DirectEncoder",
    "Encoder",
    "Events",
    "FeatureScaler",
    "LabelMap",
    "LatencyEncoder",
    "PopulationEncoder",
    "Recordings",
    "SpikeAugmentation",
    "SpikesEncoder",
    "Split",
    "StandardEncoder",
    "Standardiser",
    "TargetScaler",
    "Task",
    "curve",
    "curve_grid",
    "curve_truth",
    "dvs_gesture",
    "encoder_settings",
    "event_folder",
    "fashion_mnist",
    "gaussian_noise",
    "handwritten_digits",
    "has_folds",
    "load_mat",
    "load_npz",
    "load_task",
    "make_encoder",
    "mnist",
    "mnist_dvs",
    "nmnist",
    "poker_dvs",
    "shd",
    "task_settings",
    "two_moons",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
