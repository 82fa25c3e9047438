"""A task in folds from a MATLAB file: the text tasks of the expectation backpropagation paper."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from scipy import io, sparse

from bisnn_pyro.data.checks import check_choice, check_count, check_finite, check_flag
from bisnn_pyro.data.limits import array_bytes, check_bytes, enough_memory
from bisnn_pyro.data.location import FOLDER_VARIABLE, given_path
from bisnn_pyro.data.matlab_structure import check_structure
from bisnn_pyro.data.out_of_range import OutOfRange, out_of_range_notes
from bisnn_pyro.data.scaling import FeatureScaler, LabelMap
from bisnn_pyro.data.splitting import at_most, choose, contiguous_folds, held_out, stratified_folds
from bisnn_pyro.data.task import Split, Task
from bisnn_pyro.errors import DataError

_INTEGERS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
_NUMBERS = ("double", "single", "sparse", "logical", *_INTEGERS)


def load_mat(
    path: str | os.PathLike[str] | None = None,
    file: str | None = None,
    x: str | None = None,
    y: str | None = None,
    n_folds: int = 8,
    fold: int | None = None,
    shuffle: bool = False,
    n_val: int = 0,
    n_train: int | None = None,
    seed: int = 0,
) -> Task:
    """Make a classification of the rows of a matrix; one fold of them is the test set.

    Folds are contiguous blocks of rows, as in Soudry, Hubara and Meir, Expectation Backpropagation (NIPS
    2014), whose files hold the classes in random order; a file sorted by class needs ``shuffle``.
    Features are scaled to [0, 1] by the minimum and maximum of each feature in the training rows, and
    clipped elsewhere; one that is constant in the training rows becomes 0.  This removes the information
    about test rows that a file standardised over all rows, like the paper's, contains: the encoder
    ``standard`` with ``scale = "feature"`` standardises by the training rows alone.

    Memory: the matrix as stored (float64 if dense), then once in float32, and the splits in float32; 1943
    x 29409 takes 0.75 GB at its peak and 0.23 GB after.  A sparse matrix becomes dense split by split.

    Args:
        path: The file, its folder, or a folder of data folders; None for ``$BISNN_DATA``.
        file: Which ``.mat`` file of the folder; None if it holds a single one.
        x: Name of the features ``[N, F]``, dense or sparse; None for the file's only matrix.
        y: Name of the labels ``[N, 1]``, whole numbers; None for the only vector of N numbers.
        n_folds: K, the number of folds.
        fold: Which of them, 0..K-1, is the test set; None outside a cross-validation takes the first.
        shuffle: Assign rows to folds at random, classes in proportion, instead of contiguous blocks.
        n_val: Training rows used for validation instead, classes in proportion; with 0 nothing stops
            training early, and there is nothing to tune on.
        n_train: At most this many training rows, classes in proportion; None for all.
        seed: Seed of these choices; not the training seed.

    Returns:
        The task, named after the file.

    Raises:
        DataError: If the file or a setting is not as described.
    """
    check_flag("data.shuffle", shuffle)
    found = find_mat(path, file)
    features, raw = read_mat(found, x, y)
    labels = _label_map(found, raw)
    target = labels.encode(raw)
    folds = stratified_folds(n_folds, seed, target) if shuffle else contiguous_folds(len(target), n_folds)
    test = held_out(folds, fold or 0, n_folds)
    train, val = _train_and_val(np.flatnonzero(~test), target, n_val, n_train, seed)
    missing = np.setdiff1d(target, target[train])
    if len(missing):
        way_out = "use fewer classes or folds" if shuffle else "set data.shuffle = true if rows are sorted"
        raise DataError(
            f"no training row of {found} has the label {labels.names[missing[0]]}, but others do; {way_out}"
        )
    scaler = FeatureScaler.fit(_dense(features, train))

    outside: dict[str, OutOfRange] = {}

    def split(part: str, rows: np.ndarray) -> Split:
        if not len(rows):
            return Split(np.zeros((0, features.shape[1]), np.float32), target[:0])
        dense = _dense(features, rows)
        outside[part] = scaler.out_of_range(dense)
        return Split(scaler.transform(dense), target[rows])

    parts = split("train", train), split("val", val), split("test", np.flatnonzero(test))
    return Task(
        found.stem,
        "classification",
        *parts,
        labels.names,
        scaler=scaler,
        labels=labels,
        notes=out_of_range_notes(outside),
        out_of_range=outside,
    )


def _label_map(file: Path, raw: np.ndarray) -> LabelMap:
    labels = LabelMap.fit(raw)
    if len(labels.labels) < 2:
        raise DataError(f"the labels of {file} are all {labels.names[0]}; expected 2 classes or more")
    if not all(isinstance(label, int) for label in labels.labels):
        raise DataError(f"the labels of {file} are not whole numbers ({raw[:4]} ...); expected classes")
    return labels


def _train_and_val(
    rest: np.ndarray, target: np.ndarray, n_val: int, n_train: int | None, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    if check_count("data.n_val", n_val, 0) >= len(rest):
        raise DataError(f"data.n_val is {n_val}; expected fewer than the {len(rest)} rows outside the fold")
    val = choose(len(rest), n_val, seed + 1, target[rest])
    train = rest[~val]
    return train[at_most(n_train, len(train), seed + 2, target[train])], rest[val]


def _dense(features: Any, rows: np.ndarray) -> np.ndarray:
    chosen = features[rows]
    return chosen.toarray() if sparse.issparse(chosen) else chosen


# --- finding and reading the file -------------------------------------------------------------------------


def find_mat(path: str | os.PathLike[str] | None, name: str | None = None) -> Path:
    """Find one ``.mat`` file.

    Args:
        path: The file, its folder, or a folder of data folders; None for ``$BISNN_DATA``.
        name: Which file of the folder, with or without ``.mat``; None if it holds a single one.

    Returns:
        The file.

    Raises:
        DataError: If there is no such file or more than one; the message names those that exist.
    """
    if path is None:
        path = os.environ.get(FOLDER_VARIABLE) or None
    if not isinstance(path, str | os.PathLike) or not str(path):
        raise DataError(
            f"data.path is {path!r}; expected a .mat file or its folder: give --data-dir DIR (or data.path), "
            f"or set the environment variable {FOLDER_VARIABLE} to a folder that holds that folder"
        )
    place = given_path(path, "a .mat file or its folder").absolute()
    if place.is_file():
        if name is not None and Path(name).stem != place.stem:
            raise DataError(
                f"data.path is the file {place}, but data.file is {name!r}; give only one of them"
            )
        return place
    if not place.is_dir():
        raise DataError(f"{place} does not exist; expected a .mat file or the folder that holds it")
    return _in_folder(place, name)


def _in_folder(folder: Path, name: str | None) -> Path:
    pattern = "*.mat" if name is None else f"{str(name).removesuffix('.mat')}.mat"
    there = sorted(folder.glob("*.mat")) + sorted(folder.glob("*/*.mat"))
    found = [f for f in there if name is None or f.name == pattern]
    if len(found) == 1:
        return found[0]
    held = ", ".join(str(f.relative_to(folder)) for f in there[:12]) or "no .mat file"
    if not found:
        raise DataError(f"{folder} and the folders in it have no {pattern}; they hold {held}")
    raise DataError(f"{folder} holds {held}; name one with data.file, or give the file itself as data.path")


def read_mat(file: Path, x: str | None = None, y: str | None = None) -> tuple[Any, np.ndarray]:
    """Read a matrix of features and a vector of labels; nothing else of the file is loaded.

    Args:
        file: A MATLAB file of version 4 to 7 (``save -v7``; 7.3 is another format).
        x: Name of the features ``[N, F]``, dense or sparse; None for the file's only matrix.
        y: Name of the labels ``[N, 1]`` or ``[1, N]``; None for the only vector as long as the matrix.

    Returns:
        Features ``[N, F]``, float32, a C-ordered array or a scipy CSR matrix, and labels ``[N]``.

    Raises:
        DataError: If the file cannot be read, or a variable is missing, ambiguous, not numeric, empty or
            not finite, or features and labels do not pair up.
    """
    try:
        check_structure(file)
    except DataError as error:
        raise DataError(f"{file} cannot be read as a MATLAB file of version 4 to 7: {error}") from error
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}") from error
    variables = {name: (shape, kind) for name, shape, kind in _call(file, io.whosmat)}
    x = _only_matrix(file, variables) if x is None else check_choice("data.x", x, variables)
    shape, kind = variables[x]
    if kind not in _NUMBERS:
        raise DataError(f"{x} of {file} is of the class {kind}; expected numbers")
    if len(shape) != 2 or 0 in shape:
        raise DataError(f"{x} of {file} has shape {shape}; expected features [N, F], one example per row")
    y = _only_vector(file, variables, x) if y is None else check_choice("data.y", y, variables)
    y_shape, kind = variables[y]
    if kind not in _NUMBERS:
        raise DataError(f"{y} of {file} is of the class {kind}; expected whole numbers")
    if sorted(y_shape) != sorted((1, shape[0])):
        raise DataError(
            f"{y} of {file} has shape {y_shape}; expected one label for each of the {shape[0]} rows of {x} "
            "(examples are rows: a matrix [F, N] must be transposed)"
        )
    # A sparse matrix becomes dense, part by part.
    check_bytes(
        f"{x} of {file}, with shape {shape}", array_bytes(shape, 4 if variables[x][1] == "sparse" else 8)
    )
    arrays = _call(file, io.loadmat, variable_names=[x, y])
    for name in (x, y):
        held = np.shape(arrays.get(name))
        if held != variables[name][0]:  # the file names another variable twice, or its parts contradict
            raise DataError(f"{name} of {file} has shape {held}, and the file lists {variables[name][0]}")
    labels = arrays[y].toarray() if sparse.issparse(arrays[y]) else arrays[y]
    return _as_float32(f"{x} of {file}", arrays.pop(x)), labels.ravel()


class _Bounded:
    """A file that is never asked for more bytes than it has, whatever its headers claim."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._size = stream, os.fstat(stream.fileno()).st_size

    def read(self, n: int = -1) -> bytes:
        """Read up to so many bytes, or all that are left."""
        left = max(self._size - self._stream.tell(), 0)
        return self._stream.read(left if n < 0 else min(n, left))

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a byte."""
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        """The byte that is read next."""
        return self._stream.tell()


def _call(file: Path, function: Any, **settings: Any) -> Any:
    """Let scipy read; any error means that the file is damaged."""
    try:
        with file.open("rb") as stream, enough_memory(str(file)), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of unreadable or repeated variables, which are not ours
            found = function(_Bounded(stream), **settings)
            for array in found.values() if isinstance(found, dict) else ():
                if sparse.issparse(array) and hasattr(array, "check_format"):
                    array.check_format(full_check=True)  # indices beyond the matrix end the process later
            return found
    except NotImplementedError as error:
        raise DataError(
            f"{file} is a MATLAB 7.3 file (HDF5), which is not supported; write it with save -v7"
        ) from error
    except DataError:
        raise
    except Exception as error:  # a damaged file fails in zlib, struct and others
        raise DataError(f"{file} cannot be read as a MATLAB file of version 4 to 7: {error}") from error


def _only_matrix(file: Path, variables: Mapping[str, Any]) -> str:
    found = [n for n, (s, kind) in variables.items() if len(s) == 2 and min(s) > 1 and kind in _NUMBERS]
    return _only(found, file, variables, "matrix of features [N, F]", "data.x")


def _only_vector(file: Path, variables: Mapping[str, Any], x: str) -> str:
    wanted = sorted((1, variables[x][0][0]))
    found = [n for n, (s, kind) in variables.items() if sorted(s) == wanted and kind in _NUMBERS and n != x]
    what = f"vector of labels, one for each of the {wanted[1]} rows of {x}"
    return _only(found, file, variables, what, "data.y")


def _only(found: list[str], file: Path, variables: Mapping[str, Any], what: str, key: str) -> str:
    if len(found) == 1:
        return found[0]
    held = ", ".join(f"{n} {list(shape)}" for n, (shape, _) in variables.items()) or "nothing"
    many = f"{len(found)} could be the {what}" if found else f"none is a {what}"
    raise DataError(f"{file} holds {held}: {many}; name it with {key}")


def _as_float32(name: str, x: Any) -> Any:
    is_sparse = sparse.issparse(x)
    values = x.data if is_sparse else x
    if values.dtype.kind not in "biuf":
        raise DataError(f"{name} has type {values.dtype}; expected real numbers")
    check_finite(name, values)
    with np.errstate(over="ignore"):
        x = sparse.csr_matrix(x, dtype=np.float32) if is_sparse else np.ascontiguousarray(x, np.float32)
    if not np.isfinite(x.data if is_sparse else x).all():
        raise DataError(f"{name} has values beyond 3e38, which float32 does not hold; rescale it")
    return x
