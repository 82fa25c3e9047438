"""Reading the arrays of an ``.npz`` file, with a clear word on whatever is wrong with it."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bisnn_pyro.data.checks import check_finite
from bisnn_pyro.errors import DataError

REQUIRED = ("x_train", "y_train", "x_test", "y_test")
OPTIONAL = ("x_val", "y_val", "kind")


def read_npz(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Read the arrays of a task; pickled objects are never loaded.

    Args:
        path: The file, as ``np.savez`` or ``np.savez_compressed`` writes it.

    Returns:
        The arrays by name: ``x_train, y_train, x_test, y_test`` and, where the file has them,
        ``x_val, y_val, kind``.  Inputs and targets are non-empty and pair up.

    Raises:
        DataError: If the file cannot be read, an array is missing, misspelt, not numeric, empty or
            not finite, or inputs and targets do not pair up.
    """
    arrays = _load(_existing(path))
    for part in ("train", "val", "test"):
        if f"x_{part}" in arrays:
            _check_inputs(f"x_{part}", arrays[f"x_{part}"])
            _check_pair(part, arrays)
    return arrays


def _existing(path: str | os.PathLike[str]) -> Path:
    if not isinstance(path, str | os.PathLike) or not str(path):
        raise DataError(f"data.path is {path!r}; expected the path of an .npz file")
    file = Path(path).expanduser()
    if file.is_dir():
        raise DataError(f"{file} is a folder; expected an .npz file")
    if not file.is_file():
        raise DataError(f"{file} does not exist; expected an .npz file (looked in {Path.cwd()})")
    return file


def _load(file: Path) -> dict[str, np.ndarray]:
    try:
        # Our own handle: numpy leaves the file open when it is not what it seems.
        with file.open("rb") as stream:
            if not zipfile.is_zipfile(stream):
                raise DataError(f"{file} is not an .npz archive (or is cut short); write it with numpy.savez")
            stream.seek(0)
            with np.load(stream, allow_pickle=False) as archive:
                _check_names(file, archive.files)
                return {name: _member(archive, name) for name in REQUIRED + OPTIONAL if name in archive.files}
    except DataError:
        raise
    except (
        Exception
    ) as error:  # a damaged archive fails in zipfile, zlib, tokenize and more, each its own way
        raise DataError(f"{file} cannot be read: {error}") from error


def _check_names(file: Path, names: list[str]) -> None:
    held = f"{file} holds {', '.join(sorted(names)) or 'no array'}"
    wanted = "expected x_train, y_train[, x_val, y_val], x_test, y_test"
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise DataError(f"{file} has no array {' and no '.join(missing)}; {wanted}; {held}")
    for one, other in (("x_val", "y_val"), ("y_val", "x_val")):
        if one in names and other not in names:
            raise DataError(f"{file} has {one} but no {other}; give both, or neither for a split of x_train")
    # A misspelt x_valid must not quietly become a split of the training set.
    odd = [n for n in names if n.lower()[:2] in ("x_", "y_") and n not in REQUIRED + OPTIONAL]
    if odd:
        raise DataError(f"{file} has the unknown array {odd[0]}; {wanted}")


def _member(archive: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    try:
        array = archive[name]
    except ValueError as error:
        if "pickle" not in str(error):
            raise DataError(f"array {name} cannot be read: {error}") from error
        raise DataError(
            f"array {name} holds Python objects (dtype=object, often rows of unequal length), which are not "
            "loaded because unpickling can run code; save it as a plain numeric or string array"
        ) from None
    if not isinstance(array, np.ndarray):
        raise DataError(f"{name} is not an array saved by numpy")
    return array


def _check_inputs(name: str, x: np.ndarray) -> None:
    if x.dtype.kind not in "biuf":
        raise DataError(f"{name} has type {x.dtype} and shape {x.shape}; expected real numbers")
    if x.ndim < 2 or x.size == 0:
        raise DataError(
            f"{name} has shape {x.shape}; expected features [N, F], images [N, H, W] or [N, C, H, W], "
            "or spikes [N, T, I], with no empty axis"
        )
    check_finite(name, x)


def _check_pair(part: str, arrays: dict[str, np.ndarray]) -> None:
    x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
    if y.ndim == 2 and y.shape[1] == 1:
        y = arrays[f"y_{part}"] = y[:, 0]  # a column of targets means the same
    if y.ndim != 1 or len(y) != len(x):
        hint = "; one-hot rows must be turned into labels with argmax" if y.ndim == 2 else ""
        raise DataError(
            f"y_{part} has shape {y.shape}; expected [N] with N = {len(x)} as in x_{part} "
            f"of shape {x.shape}{hint}"
        )
    check_finite(f"y_{part}", y)
