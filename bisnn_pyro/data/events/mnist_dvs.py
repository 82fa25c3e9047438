"""MNIST-DVS as published: ``grabbed_data0/scale4/mnist_0_scale04_0001.aedat`` and so on."""

from __future__ import annotations

import re
from pathlib import Path

from bisnn_pyro.data.events.layout import Layout, Recording
from bisnn_pyro.data.events.record import Sensor

SENSOR: Sensor = (128, 128)
SCALES = (4, 8, 16)
_NAME = re.compile(r"(mnist_(\d)_scale(\d\d)_\d+)(_\w+)?\.aedat")


def find_mnist_dvs(root: Path, scale: int | None = None) -> Layout | None:
    """Find the recordings of one scale, or of all, in this folder or up to two below it.

    The digit is taken from the file's name, so that the folders' names do not matter.  The set also has
    cuts of its recordings (``mnist_0_scale04_0001_qt1.aedat``): beside the whole recording they are passed
    over, lest one recording both trains and tests.

    Args:
        root: The folder.
        scale: 4, 8 or 16; None for all.

    Returns:
        The recordings; None where there are none.
    """
    files = {f for pattern in ("*.aedat", "*/*.aedat", "*/*/*.aedat") for f in root.glob(pattern)}
    named = ((file, match) for file in files if (match := _NAME.fullmatch(file.name)) is not None)
    chosen = [(file, match) for file, match in named if scale in (None, int(match[3]))]
    whole = {match[1] for _, match in chosen if match[4] is None}
    found = [Recording(file, match[2]) for file, match in chosen if match[4] is None or match[1] not in whole]
    found.sort(key=lambda recording: (recording.label, recording.path))
    kind = "MNIST-DVS" if scale is None else f"MNIST-DVS, scale {scale}"
    return Layout(kind, root, tuple(found), SENSOR) if found else None
