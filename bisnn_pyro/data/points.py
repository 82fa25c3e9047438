"""Points and their targets from an ``.npz`` file, for a network that is trained already."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from bisnn_pyro.data.checks import check_finite
from bisnn_pyro.errors import DataError

NAMES = (("x", "y"), ("x_test", "y_test"))


def load_points(path: str | os.PathLike[str]) -> tuple[np.ndarray, np.ndarray]:
    """Read the arrays ``x, y`` of a file, or ``x_test, y_test`` where it has no such; others are ignored.

    Args:
        path: the file, as ``np.savez`` writes it.  Pickled objects are never loaded.

    Returns:
        Inputs ``[N, ...]``, as they are (features, images or ready spikes), and targets ``[N]``: labels as
        the training data had them, or numbers.

    Raises:
        DataError: if the file cannot be read, lacks the arrays, or they are not as described.
    """
    file = Path(path).expanduser()
    try:
        with file.open("rb") as stream:  # our own handle: numpy leaves it open when it is not what it seems
            archive = np.load(stream, allow_pickle=False)
            if isinstance(archive, np.ndarray):
                raise DataError(f"{file} holds one array; write x and y into one file with numpy.savez")
            with archive:
                x, y = (np.asarray(archive[name]) for name in _names(file, archive.files))
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror or error}") from error
    except Exception as error:  # a damaged archive fails in zipfile, zlib and more, each its own way
        raise DataError(f"{file} cannot be read as .npz: {error}") from error
    return _checked(file, x, y)


def _names(file: Path, held: list[str]) -> tuple[str, str]:
    for pair in NAMES:
        if set(pair) <= set(held):
            return pair
    raise DataError(f"{file} holds {', '.join(sorted(held)) or 'no array'}; expected x and y")


def _checked(file: Path, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if x.dtype.kind not in "biuf" or x.ndim < 2 or x.size == 0:
        raise DataError(
            f"{file}: x has shape {x.shape} and type {x.dtype}; expected numbers [N, ...], no axis empty"
        )
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]  # a column of targets means the same
    if y.shape != (len(x),):
        raise DataError(f"{file}: y has shape {y.shape}; expected [N] with N = {len(x)} as in x")
    check_finite(f"{file}: x", x)
    check_finite(f"{file}: y", y)
    return x, y
