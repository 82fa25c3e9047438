"""Reading a feature matrix and its labels from a MATLAB file, with a clear word on whatever is wrong."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy import io, sparse

from bisnn_pyro.data.checks import check_choice, check_finite
from bisnn_pyro.data.user_folders import FOLDER_VARIABLE
from bisnn_pyro.errors import DataError

_NUMBERS = (
    "double",
    "single",
    "sparse",
    "logical",
    *(f"{s}int{b}" for s in ("", "u") for b in (8, 16, 32, 64)),
)


def find_mat(path: str | os.PathLike[str] | None, name: str | None = None) -> Path:
    """Find one ``.mat`` file.

    Args:
        path: The file, its folder, or a folder of data folders; None for ``$BISNN_DATA``.
        name: Which file of the folder, with or without ``.mat``; None where it holds a single one.

    Returns:
        The file.

    Raises:
        DataError: If there is no such file or more than one; the message names those there are.
    """
    if path is None:
        path = os.environ.get(FOLDER_VARIABLE) or None
    if not isinstance(path, str | os.PathLike) or not str(path):
        raise DataError(
            f"data.path is {path!r}; expected a .mat file or its folder: give --data-dir DIR (or data.path), "
            f"or set the environment variable {FOLDER_VARIABLE} to a folder that holds that folder"
        )
    place = Path(path).expanduser().absolute()
    if place.is_file():
        if name is not None and Path(name).stem != place.stem:
            raise DataError(
                f"data.path is the file {place}, but data.file is {name!r}; leave one of them out"
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
    raise DataError(f"{folder} holds {held}; say which with data.file, or give the file itself as data.path")


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
    variables = {name: (shape, kind) for name, shape, kind in _call(file, io.whosmat)}
    x = check_choice("data.x", x, variables) if x is not None else _only_matrix(file, variables)
    _check_features(file, x, *variables[x])
    y = check_choice("data.y", y, variables) if y is not None else _only_vector(file, variables, x)
    _check_labels(file, y, *variables[y], x, variables[x][0][0])
    arrays = _call(file, io.loadmat, variable_names=[x, y])
    labels = arrays[y].toarray() if sparse.issparse(arrays[y]) else arrays[y]
    return _as_float32(f"{x} of {file}", arrays.pop(x)), labels.ravel()


def _call(file: Path, function: Any, **settings: Any) -> Any:
    """Let scipy read; whatever it stumbles over is the file's fault."""
    try:
        with file.open("rb") as stream:
            return function(stream, **settings)
    except NotImplementedError as error:
        raise DataError(
            f"{file} is a MATLAB 7.3 file (HDF5), which is not read here; write it with save -v7"
        ) from error
    except Exception as error:  # a damaged file fails in zlib, struct and more, each its own way
        raise DataError(f"{file} cannot be read as a MATLAB file of version 4 to 7: {error}") from error


def _check_features(file: Path, x: str, shape: tuple[int, ...], kind: str) -> None:
    if kind not in _NUMBERS:
        raise DataError(f"{x} of {file} is of the class {kind}; expected numbers")
    if len(shape) != 2 or 0 in shape:
        raise DataError(f"{x} of {file} has shape {shape}; expected features [N, F], an example a row")


def _check_labels(file: Path, y: str, shape: tuple[int, ...], kind: str, x: str, n: int) -> None:
    if kind not in _NUMBERS:
        raise DataError(f"{y} of {file} is of the class {kind}; expected whole numbers")
    if sorted(shape) != sorted((1, n)):
        raise DataError(
            f"{y} of {file} has shape {shape}; expected one label for each of the {n} rows of {x} "
            "(examples are rows: a matrix [F, N] must be transposed)"
        )


def _only_matrix(file: Path, variables: Mapping[str, Any]) -> str:
    found = [n for n, (s, kind) in variables.items() if len(s) == 2 and min(s) > 1 and kind in _NUMBERS]
    return _only(found, file, variables, "matrix of features [N, F]", "data.x")


def _only_vector(file: Path, variables: Mapping[str, Any], x: str) -> str:
    wanted = sorted((1, variables[x][0][0]))
    found = [n for n, (s, kind) in variables.items() if sorted(s) == wanted and kind in _NUMBERS and n != x]
    return _only(
        found, file, variables, f"vector of labels, one for each of the {wanted[1]} rows of {x}", "data.y"
    )


def _only(found: list[str], file: Path, variables: Mapping[str, Any], what: str, key: str) -> str:
    if len(found) == 1:
        return found[0]
    held = ", ".join(f"{n} {list(shape)}" for n, (shape, _) in variables.items()) or "nothing"
    many = f"{len(found)} could be the {what}" if found else f"none is a {what}"
    raise DataError(f"{file} holds {held}: {many}; name it with {key}")


def _as_float32(name: str, x: Any) -> Any:
    values = x.data if sparse.issparse(x) else x
    if values.dtype.kind not in "biuf":
        raise DataError(f"{name} has type {values.dtype}; expected real numbers")
    check_finite(name, values)
    with np.errstate(over="ignore"):
        x = (
            sparse.csr_matrix(x, dtype=np.float32)
            if sparse.issparse(x)
            else np.ascontiguousarray(x, np.float32)
        )
    if not np.isfinite(x.data if sparse.issparse(x) else x).all():
        raise DataError(f"{name} has values beyond 3e38, which float32 does not hold; rescale it")
    return x
