"""Spiking Heidelberg Digits: spike trains of a cochlea model in HDF5 files, one row a recording."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from bisnn_pyro.data.events.layout import Layout, Recording
from bisnn_pyro.data.events.record import Events, Sensor
from bisnn_pyro.errors import DataError

SENSOR: Sensor = (1, 700)
"""One row of 700 units."""
MICROSECONDS = 1e6
SUFFIXES = (".h5", ".hdf5")
_ARRAYS = ("spikes/times", "spikes/units", "labels")


class SpikeTable:
    """The rows of one file: ``spikes/times`` in seconds, ``spikes/units`` 0 to 699, ``labels``.

    Cramer, Stradmann, Schemmel and Zenke, IEEE TNNLS 33 (2022); zenkelab.org/datasets.

    Args:
        path: The file, ``shd_train.h5`` or ``shd_test.h5``.

    Raises:
        DataError: If h5py is missing, or the file is damaged or holds something else.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = _open(path)
        missing = [name for name in _ARRAYS if name not in self._file]
        if missing:
            raise DataError(f"it has no array {' and no '.join(missing)}; expected {', '.join(_ARRAYS)}")
        sizes = {name: len(self._file[name]) for name in _ARRAYS}
        if len(set(sizes.values())) != 1:
            raise DataError(
                f"its arrays have {sizes} rows; expected a label and two spike arrays a recording"
            )

    def labels(self) -> np.ndarray:
        """The published class numbers ``[N]``."""
        return np.asarray(self._file["labels"][:])

    def __getitem__(self, row: int) -> Events:
        """Read one recording; times are from its start, polarity is 1 throughout.

        Raises:
            DataError: If a time is no finite number.
            OSError: If it cannot be read.
        """
        times, units = (np.asarray(self._file[name][row]) for name in _ARRAYS[:2])
        if not np.isfinite(times).all():
            raise DataError("spikes/times holds NaN or infinity; expected seconds")
        # Seconds come as float16: taken to float64 before they grow.
        t = np.rint(times.astype(np.float64) * MICROSECONDS).astype(np.int64)
        x = units.astype(np.int64)
        return Events(t, x, np.zeros_like(x), np.ones(len(x), np.uint8), SENSOR)


def find_shd(root: Path) -> Layout | None:
    """Find ``shd_train.h5`` and ``shd_test.h5``, or one of them; None where there is neither.

    Raises:
        DataError: If a file that is there cannot be read.
    """
    found: list[Recording] = []
    for part in ("train", "test"):
        file = root / f"shd_{part}.h5"
        if file.is_file():
            try:
                labels = SpikeTable(file).labels()
            except (DataError, OSError) as error:
                raise DataError(f"{file}: {error}") from error
            found += [Recording(file, str(int(k)), part, row=i) for i, k in enumerate(labels)]
    return Layout("Spiking Heidelberg Digits", root, tuple(found), SENSOR) if found else None


def _open(path: str | os.PathLike[str]) -> Any:
    try:
        import h5py
    except ImportError as error:
        raise DataError("HDF5 files need h5py: pip install 'bisnn_pyro[events]'") from error
    try:
        return h5py.File(path, "r")
    except OSError as error:
        if error.errno is not None:  # the system's: the file itself may well be whole
            raise
        raise DataError(f"it is no whole HDF5 file: {error}") from error
