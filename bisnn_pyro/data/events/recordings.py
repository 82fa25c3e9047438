"""Binned recordings that stay on disk: an array of spikes that reads what it is asked for."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from bisnn_pyro.data.events.spike_file import SpikeFile


class Recordings:
    """Spikes ``[N, T, I]`` of a :class:`SpikeFile`, read when they are indexed.

    Indexed along its first axis only, as a numpy array is: a whole number gives ``[T, I]``; a slice, an
    array of whole numbers or of booleans gives ``[n, T, I]``, an array in memory.  ``numpy.asarray`` reads
    everything.  Values are 0 and 1.

    Args:
        file: The file of all recordings.
        rows: Which of them these are, int ``[N]``.
        n_steps: T.
        n_inputs: I.
    """

    dtype = np.dtype(np.uint8)
    ndim = 3

    def __init__(self, file: SpikeFile, rows: np.ndarray, n_steps: int, n_inputs: int) -> None:
        self._file, self._rows = file, np.asarray(rows, dtype=np.int64)
        self.shape = (len(self._rows), n_steps, n_inputs)

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        return f"Recordings(shape={self.shape}, file={self._file.name!r})"

    @property
    def size(self) -> int:
        """N T I, the number of values."""
        return prod(self.shape)

    def __getitem__(self, index: Any) -> np.ndarray:
        """Read recordings ``[n, T, I]``, uint8; ``[T, I]`` for a whole number.

        Raises:
            IndexError: If the index is out of range or not one of the first axis.
            DataError: If the file is damaged.
        """
        if isinstance(index, tuple) or index is None or index is Ellipsis:
            raise IndexError("recordings are indexed along their first axis only")
        rows = self._rows[index]
        if rows.ndim > 1:
            raise IndexError(f"an index of shape {rows.shape}; expected one axis")
        spikes = np.empty((rows.size, *self.shape[1:]), np.uint8)
        n_bits = prod(self.shape[1:])
        for k, row in enumerate(rows.ravel()):
            spikes[k] = self._file.read(int(row), n_bits).reshape(self.shape[1:])
        return spikes if rows.ndim else spikes[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """All recordings in memory, for sets that are small enough."""
        if copy is False:
            raise ValueError("recordings are on disk; an array of them is always a copy")
        return self[:].astype(np.uint8 if dtype is None else dtype, copy=False)

    def take(self, rows: np.ndarray) -> Recordings:
        """Some of these recordings, still on disk.

        Args:
            rows: Their numbers or a mask, ``[n]`` or ``[N]``.
        """
        return Recordings(self._file, self._rows[rows], *self.shape[1:])
