"""Published event-camera sets as tasks of ready spikes, by the names that a config file uses."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from bisnn_pyro.data.events.binning import Binning
from bisnn_pyro.data.events.mnist_dvs import SCALES, find_mnist_dvs
from bisnn_pyro.data.events.place import locate_recordings
from bisnn_pyro.data.events.published import DVS_GESTURE, MNIST_DVS, NMNIST, POKER_DVS, SHD
from bisnn_pyro.data.events.settings import describe_settings
from bisnn_pyro.data.events.shares import Shares
from bisnn_pyro.data.events.tasks import event_task
from bisnn_pyro.data.task import Task
from bisnn_pyro.errors import DataError

NO_DOWNLOAD = "The set's own folder or its parent; None for ``$BISNN_DATA``: there is no download."


@describe_settings()
def nmnist(
    path: str | os.PathLike[str] | None = None,
    time_step: float = 10.0,
    n_steps: int = 30,
    start: float = 0.0,
    crop: Sequence[int] | None = None,
    downsample: int = 1,
    polarity: str = "keep",
    n_train: int | None = None,
    n_val: int | None = None,
    n_test: int | None = None,
    n_folds: int | None = None,
    fold: int | None = None,
    seed: int = 0,
    on_error: str = "raise",
    cache: bool = True,
) -> Task:
    """N-MNIST: MNIST's digits before a camera that makes three saccades, 34 x 34 pixels, 0.3 s.

    Orchard, Jayawant, Cohen and Thakor, Frontiers in Neuroscience 9:437 (2015).  The recordings come from
    ``path``, ``$BISNN_DATA`` or the publisher (:func:`bisnn_pyro.data.events.place.locate_recordings`); any
    part of the set will do.  They are binned once and stay on disk
    (:func:`bisnn_pyro.data.events.cache.bin_recordings`), so that the set may be larger than the memory.
    """
    binning = Binning(time_step, n_steps, start, crop, downsample, polarity)
    shares = Shares(n_train, n_val, n_test, n_folds, fold, seed)
    return event_task("nmnist", locate_recordings(NMNIST, path), binning, shares, on_error, cache)


@describe_settings()
def poker_dvs(
    path: str | os.PathLike[str] | None = None,
    time_step: float = 1.0,
    n_steps: int = 30,
    start: float = 0.0,
    crop: Sequence[int] | None = None,
    downsample: int = 1,
    polarity: str = "keep",
    n_train: int | None = None,
    n_val: int | None = None,
    n_test: int | None = None,
    n_folds: int | None = None,
    fold: int | None = None,
    seed: int = 0,
    on_error: str = "raise",
    cache: bool = True,
) -> Task:
    """POKER-DVS: the four suits on cards browsed before a camera, 35 x 35 pixels, 5 to 30 ms.

    Serrano-Gotarredona and Linares-Barranco, Frontiers in Neuroscience 9:481 (2015), as tonic cut it: 48
    training and 20 test recordings.
    """
    binning = Binning(time_step, n_steps, start, crop, downsample, polarity)
    shares = Shares(n_train, n_val, n_test, n_folds, fold, seed)
    return event_task("poker-dvs", locate_recordings(POKER_DVS, path), binning, shares, on_error, cache)


@describe_settings(
    path=NO_DOWNLOAD,
    scale="Size of the digits on the screen: 4, 8 or 16.",
    start="Where step 0 begins, in milliseconds after the first event.",
    test_share="Share of the recordings that test, without folds.",
    n_folds="K: all recordings are dealt to K folds, classes in proportion; None for ``test_share``.",
)
def mnist_dvs(
    path: str | os.PathLike[str] | None = None,
    scale: int = 4,
    time_step: float = 20.0,
    n_steps: int = 100,
    start: float = 0.0,
    crop: Sequence[int] | None = None,
    downsample: int = 4,
    polarity: str = "keep",
    test_share: float = 0.1,
    n_train: int | None = None,
    n_val: int | None = None,
    n_test: int | None = None,
    n_folds: int | None = None,
    fold: int | None = None,
    seed: int = 0,
    on_error: str = "raise",
    cache: bool = True,
) -> Task:
    """MNIST-DVS: MNIST's digits moving on a screen before a camera of 128 x 128 pixels, 2 to 3 s.

    Serrano-Gotarredona and Linares-Barranco, Frontiers in Neuroscience 9:481 (2015).  Time counts from a
    recording's first event.  The set has no test part: ``test_share`` of the recordings test, classes in
    proportion.  The BiSNN paper's inputs (arXiv 2012.08300) are ``scale = 4``, ``crop = [48, 54, 26, 26]``,
    ``downsample = 1``, 400 steps of 5 ms.
    """
    if scale not in SCALES:
        raise DataError(f"data.scale is {scale!r}; expected one of {', '.join(map(str, SCALES))}")
    wanted = replace(MNIST_DVS, find=partial(find_mnist_dvs, scale=scale))
    binning = Binning(time_step, n_steps, start, crop, downsample, polarity, "first-event")
    shares = Shares(n_train, n_val, n_test, n_folds, fold, seed, test_share)
    return event_task("mnist-dvs", locate_recordings(wanted, path), binning, shares, on_error, cache)


@describe_settings(
    path=NO_DOWNLOAD,
    start="Where step 0 begins, in milliseconds after the gesture's beginning.",
)
def dvs_gesture(
    path: str | os.PathLike[str] | None = None,
    time_step: float = 25.0,
    n_steps: int = 60,
    start: float = 0.0,
    crop: Sequence[int] | None = None,
    downsample: int = 4,
    polarity: str = "keep",
    n_train: int | None = None,
    n_val: int | None = None,
    n_test: int | None = None,
    n_folds: int | None = None,
    fold: int | None = None,
    seed: int = 0,
    on_error: str = "raise",
    cache: bool = True,
) -> Task:
    """DVS128 Gesture: 11 gestures of 29 subjects under 3 lights, 128 x 128 pixels, about 6 s each.

    Amir et al., CVPR 2017.  A gesture is the span that the table beside a recording gives it, and time
    counts from its start; with the defaults the network sees its first 1.5 s.  Subjects 24 to 29 test.
    Classes are the published numbers 1 to 11.
    """
    binning = Binning(time_step, n_steps, start, crop, downsample, polarity)
    shares = Shares(n_train, n_val, n_test, n_folds, fold, seed)
    return event_task("dvs-gesture", locate_recordings(DVS_GESTURE, path), binning, shares, on_error, cache)


@describe_settings(
    downsample="Number of neighbouring units that become one input, which spikes if any of them does."
)
def shd(
    path: str | os.PathLike[str] | None = None,
    time_step: float = 10.0,
    n_steps: int = 100,
    start: float = 0.0,
    downsample: int = 1,
    n_train: int | None = None,
    n_val: int | None = None,
    n_test: int | None = None,
    n_folds: int | None = None,
    fold: int | None = None,
    seed: int = 0,
    on_error: str = "raise",
    cache: bool = True,
) -> Task:
    """Spiking Heidelberg Digits: spoken digits, German and English, through a cochlea of 700 units, 1 s.

    Cramer, Stradmann, Schemmel and Zenke, IEEE TNNLS 33 (2022).  Classes are the published numbers 0 to 19;
    inputs are the units, ``downsample`` neighbours at a time, as an image (1, 1, units).  The files need
    h5py (the extra ``[events]``).
    """
    binning = Binning(time_step, n_steps, start, downsample=downsample, polarity="merge")
    shares = Shares(n_train, n_val, n_test, n_folds, fold, seed)
    return event_task("shd", locate_recordings(SHD, path), binning, shares, on_error, cache)
