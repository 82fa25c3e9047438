"""Data: tasks whose arrays are checked once, and encoders that turn features into spikes.

Names are imported when they are first used, so that listing presets does not wait for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bisnn_pyro.data.arrays import load_npz, load_points
    from bisnn_pyro.data.augmentation import SpikeAugmentation
    from bisnn_pyro.data.encoders import (
        BernoulliRateEncoder,
        DirectEncoder,
        Encoder,
        LatencyEncoder,
        PopulationEncoder,
        SpikesEncoder,
    )
    from bisnn_pyro.data.events.binning import Binning, clear_cache
    from bisnn_pyro.data.events.formats import Events
    from bisnn_pyro.data.events.layouts import Reader, Recording
    from bisnn_pyro.data.events.sets import (
        EventSet,
        EventSettings,
        dvs_gesture,
        event_folder,
        mnist_dvs,
        nmnist,
        poker_dvs,
        shd,
    )
    from bisnn_pyro.data.events.spikes import Recordings
    from bisnn_pyro.data.images import FASHION_MNIST, MNIST, fashion_mnist, handwritten_digits, mnist
    from bisnn_pyro.data.inspection import Inspection, inspect_recordings
    from bisnn_pyro.data.location import FOLDER_VARIABLE, PublishedSet, cache_folder
    from bisnn_pyro.data.matlab import load_mat
    from bisnn_pyro.data.preprocessing import Preprocessing
    from bisnn_pyro.data.scaling import FeatureScaler, LabelMap, TargetScaler
    from bisnn_pyro.data.shifts import (
        Change,
        ChangedRows,
        chosen_signs,
        gaussian_noise,
        noise_like,
        rotate,
        shuffle_pixels,
        upside_down,
    )
    from bisnn_pyro.data.standard_encoder import StandardEncoder, Standardiser
    from bisnn_pyro.data.synthetic import curve, curve_truth, two_moons
    from bisnn_pyro.data.task import Grid, Split, Task

_NAMES = {
    "arrays": "load_npz load_points",
    "augmentation": "SpikeAugmentation",
    "encoders": "BernoulliRateEncoder DirectEncoder Encoder LatencyEncoder PopulationEncoder SpikesEncoder",
    "events.binning": "Binning clear_cache",
    "events.formats": "Events",
    "events.layouts": "Reader Recording",
    "events.sets": "EventSet EventSettings dvs_gesture event_folder mnist_dvs nmnist poker_dvs shd",
    "events.spikes": "Recordings",
    "images": "FASHION_MNIST MNIST fashion_mnist handwritten_digits mnist",
    "inspection": "Inspection inspect_recordings",
    "location": "FOLDER_VARIABLE PublishedSet cache_folder",
    "matlab": "load_mat",
    "preprocessing": "Preprocessing",
    "scaling": "FeatureScaler LabelMap TargetScaler",
    "shifts": "Change ChangedRows chosen_signs gaussian_noise noise_like rotate shuffle_pixels upside_down",
    "standard_encoder": "StandardEncoder Standardiser",
    "synthetic": "curve curve_truth two_moons",
    "task": "Grid Split Task",
}
_HOME = {name: module for module, names in _NAMES.items() for name in names.split()}

__all__ = [
    "FASHION_MNIST",
    "FOLDER_VARIABLE",
    "MNIST",
    "BernoulliRateEncoder",
    "Binning",
    "Change",
    "ChangedRows",
    "DirectEncoder",
    "Encoder",
    "EventSet",
    "EventSettings",
    "Events",
    "FeatureScaler",
    "Grid",
    "Inspection",
    "LabelMap",
    "LatencyEncoder",
    "PopulationEncoder",
    "Preprocessing",
    "PublishedSet",
    "Reader",
    "Recording",
    "Recordings",
    "SpikeAugmentation",
    "SpikesEncoder",
    "Split",
    "StandardEncoder",
    "Standardiser",
    "TargetScaler",
    "Task",
    "cache_folder",
    "chosen_signs",
    "clear_cache",
    "curve",
    "curve_truth",
    "dvs_gesture",
    "event_folder",
    "fashion_mnist",
    "gaussian_noise",
    "handwritten_digits",
    "inspect_recordings",
    "load_mat",
    "load_npz",
    "load_points",
    "mnist",
    "mnist_dvs",
    "nmnist",
    "noise_like",
    "poker_dvs",
    "rotate",
    "shd",
    "shuffle_pixels",
    "two_moons",
    "upside_down",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
