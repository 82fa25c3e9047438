"""A user's own arrays in ``.npz`` files: a task, or points for a network that is already trained."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from bisnn_pyro.data.checks import check_choice, check_finite, check_number
from bisnn_pyro.data.scaling import FeatureScaler, LabelMap, TargetScaler
from bisnn_pyro.data.splitting import at_most, choose
from bisnn_pyro.data.task import Split, Task
from bisnn_pyro.errors import DataError

INPUT_KINDS = ("auto", "features", "images", "spikes")
TARGET_KINDS = ("auto", "classification", "regression")
REQUIRED = ("x_train", "y_train", "x_test", "y_test")
OPTIONAL = ("x_val", "y_val", "kind")
_WANTED = "expected x_train, y_train[, x_val, y_val], x_test, y_test"
_LAYOUTS: dict[str, tuple[str, tuple[int, ...]]] = {
    "features": ("features [N, F]", (2,)),
    "images": ("images [N, H, W] or [N, C, H, W]", (3, 4)),
    "spikes": ("spikes [N, T, I], [N, T, H, W] or [N, T, C, H, W]", (3, 4, 5)),
}


def load_npz(
    path: str | os.PathLike[str],
    kind: str = "auto",
    target: str = "auto",
    val_fraction: float = 0.2,
    seed: int = 0,
    n_train: int | None = None,
) -> Task:
    """Make a task from the arrays ``x_train, y_train[, x_val, y_val], x_test, y_test`` of a file.

    Inputs with ``kind="auto"`` (a text scalar ``kind`` in the file takes precedence over this rule):
    ``[N, F]`` is features, ``[N, C, H, W]`` images, ``[N, T, C, H, W]`` spikes.  ``[N, A, B]`` is
    ready spikes ``[N, T, I]`` if every input value in the file is 0 or 1, else images
    ``[N, H, W]``; so black-and-white images need ``kind="images"`` and spike counts ``kind="spikes"``.

    Targets with ``target="auto"``: whole-number types, booleans and strings are class labels; floats are a
    regression; floats that are all whole numbers could be either and raise an error that asks for
    ``target``.

    Features are scaled to [0, 1] by the training minimum and maximum of each feature (images: of all
    pixels), and other parts are clipped.  Regression targets are scaled likewise, without clipping.
    Spikes are used as they are.

    Args:
        path: The file.
        kind: ``"auto"``, ``"features"``, ``"images"`` or ``"spikes"``.
        target: ``"auto"``, ``"classification"`` or ``"regression"``.
        val_fraction: Share of the training set that validates if the file has no ``x_val``.
        seed: Seed of that split and of the choice of ``n_train``; not the training seed.
        n_train: At most this many training examples, classes in proportion; None for all.

    Returns:
        The task, named after the file.

    Raises:
        DataError: If anything in the file is not as described; the message names the array, its
            shape and what was expected.

    Example:
        >>> import tempfile, numpy as np
        >>> x = np.random.default_rng(0).random((40, 3))
        >>> y = np.repeat(["no", "yes"], 20)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.savez(f"{folder}/mine.npz", x_train=x, y_train=y, x_test=x[::4], y_test=y[::4])
        ...     task = load_npz(f"{folder}/mine.npz")
        >>> task.name, task.classes, [len(part) for part in (task.train, task.val, task.test)]
        ('mine', ('no', 'yes'), [32, 8, 10])
    """
    check_choice("data.kind", kind, INPUT_KINDS)
    check_choice("data.target", target, TARGET_KINDS)
    check_number("data.val_fraction", val_fraction, 0.0, 1.0)
    arrays = read_npz(path)
    layout = _Layout.of(_resolve_kind(kind, arrays), arrays)
    labels, encode = _targets(target, arrays["y_train"])
    parts = {
        part: Split(layout.shape(arrays[f"x_{part}"]), encode(arrays[f"y_{part}"], f"y_{part}"))
        for part in ("train", "val", "test")
        if f"x_{part}" in arrays
    }
    train, val = _with_val(parts, val_fraction, seed, labels is not None)
    keep = at_most(n_train, len(train), seed + 1, None if labels is None else train.y)
    train = Split(train.x[keep], train.y[keep])
    return _scaled(Path(path).stem, train, val, parts["test"], layout, labels)


def load_points(path: str | os.PathLike[str]) -> tuple[np.ndarray, np.ndarray]:
    """Read the arrays ``x, y`` of a file, or ``x_test, y_test`` if it has none; others are ignored.

    Args:
        path: The file, as ``np.savez`` writes it.  Pickled objects are never loaded.

    Returns:
        Inputs ``[N, ...]``, unchanged (features, images or ready spikes), and targets ``[N]``: labels as
        in the training data, or numbers.

    Raises:
        DataError: If the file cannot be read, lacks the arrays, or they are not as described.
    """
    file = _existing(path)

    def names(held: Sequence[str]) -> Sequence[str]:
        for pair in (("x", "y"), ("x_test", "y_test")):
            if set(pair) <= set(held):
                return pair
        raise DataError(f"{file} holds {', '.join(sorted(held)) or 'no array'}; expected x and y")

    x, y = _load(file, names).values()
    _check_inputs(f"{file}: x", x)
    return x, _checked_targets(f"{file}: y", y, f"{file}: x", x)


# --- reading ----------------------------------------------------------------------------------------------


def read_npz(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Read the arrays of a task; pickled objects are never loaded.

    Args:
        path: The file, as ``np.savez`` or ``np.savez_compressed`` writes it.

    Returns:
        The arrays by name: ``x_train, y_train, x_test, y_test`` and, if the file has them,
        ``x_val, y_val, kind``.  Inputs and targets are non-empty and pair up.

    Raises:
        DataError: If the file cannot be read, an array is missing, misspelt, not numeric, empty or
            not finite, or inputs and targets do not pair up.
    """
    file = _existing(path)
    arrays = _load(file, lambda held: _task_names(file, held))
    for part in ("train", "val", "test"):
        x, y = f"x_{part}", f"y_{part}"
        if x in arrays:
            _check_inputs(x, arrays[x])
            arrays[y] = _checked_targets(y, arrays[y], x, arrays[x])
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


def _load(file: Path, choose_names: Callable[[Sequence[str]], Sequence[str]]) -> dict[str, np.ndarray]:
    try:
        # Our own handle: numpy leaves the file open if the format is not what it seems.
        with file.open("rb") as stream:
            if not zipfile.is_zipfile(stream):
                raise DataError(f"{file} is not an .npz archive (or is cut short); write it with numpy.savez")
            stream.seek(0)
            with np.load(stream, allow_pickle=False) as archive:
                return {name: _member(archive, name) for name in choose_names(archive.files)}
    except DataError:
        raise
    except Exception as error:  # a damaged archive fails in zipfile, zlib, tokenize and others
        raise DataError(f"{file} cannot be read: {error}") from error


def _task_names(file: Path, held: Sequence[str]) -> list[str]:
    missing = [name for name in REQUIRED if name not in held]
    if missing:
        listed = ", ".join(sorted(held)) or "no array"
        raise DataError(f"{file} has no array {' and no '.join(missing)}; {_WANTED}; it holds {listed}")
    for one, other in (("x_val", "y_val"), ("y_val", "x_val")):
        if one in held and other not in held:
            raise DataError(f"{file} has {one} but no {other}; give both, or neither for a split of x_train")
    # A misspelt x_valid must not silently become a split of the training set.
    odd = [n for n in held if n.lower()[:2] in ("x_", "y_") and n not in REQUIRED + OPTIONAL]
    if odd:
        raise DataError(f"{file} has the unknown array {odd[0]}; {_WANTED}")
    return [name for name in REQUIRED + OPTIONAL if name in held]


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


def _checked_targets(name: str, y: np.ndarray, x_name: str, x: np.ndarray) -> np.ndarray:
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]  # a column of targets means the same
    if y.ndim != 1 or len(y) != len(x):
        hint = "; one-hot rows must be turned into labels with argmax" if y.ndim == 2 else ""
        raise DataError(
            f"{name} has shape {y.shape}; expected [N] with N = {len(x)} as in {x_name} "
            f"of shape {x.shape}{hint}"
        )
    check_finite(name, y)
    return y


# --- what the arrays mean ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Layout:
    """How the inputs of one file are laid out."""

    kind: str
    image_shape: tuple[int, ...] | None

    @classmethod
    def of(cls, kind: str, arrays: dict[str, np.ndarray]) -> _Layout:
        """Check every input array against the kind and the training array."""
        expected, ndims = _LAYOUTS[kind]
        first = arrays["x_train"]
        for name in ("x_train", "x_val", "x_test"):
            x = arrays.get(name, first)
            if x.ndim not in ndims:
                raise DataError(f"{name} has shape {x.shape}; expected {expected} (data.kind = {kind!r})")
            if x.shape[1:] != first.shape[1:]:
                sizes = ", ".join(map(str, first.shape[1:]))
                raise DataError(
                    f"{name} has shape {x.shape}; expected [N, {sizes}] as in x_train of shape {first.shape}"
                )
        pixels = first.shape[1:] if kind == "images" else first.shape[2:]
        if kind == "features" or len(pixels) == 1:
            return cls(kind, None)
        return cls(kind, (1, *pixels) if len(pixels) == 2 else tuple(pixels))

    def shape(self, x: np.ndarray) -> np.ndarray:
        """``[N, F]`` in the file's type, or ``[N, T, I]`` as uint8 if the values allow it, else float32."""
        if self.kind != "spikes":
            return x.reshape(len(x), -1)
        x = x.reshape(*x.shape[:2], prod(x.shape[2:]))
        small = x.dtype.kind == "b" or (x.min() >= 0 and x.max() <= 255 and bool((x == np.floor(x)).all()))
        return x.astype(np.uint8 if small else np.float32)


def _resolve_kind(kind: str, arrays: dict[str, np.ndarray]) -> str:
    stored = arrays.get("kind")
    if stored is not None and (stored.size != 1 or stored.dtype.kind != "U"):
        raise DataError(
            f"array kind has shape {stored.shape} and type {stored.dtype}; expected one text scalar"
        )
    if kind == "auto" and stored is not None:
        kind = check_choice("the file's array kind", stored.item(), INPUT_KINDS)
    if kind != "auto":
        return kind
    x = arrays["x_train"]
    if x.ndim == 3:
        inputs = (arrays[n] for n in ("x_train", "x_val", "x_test") if n in arrays)
        return "spikes" if all(_only_zeros_and_ones(a) for a in inputs) else "images"
    by_ndim = {2: "features", 4: "images", 5: "spikes"}
    if x.ndim not in by_ndim:
        wanted = "; ".join(text for text, _ in _LAYOUTS.values())
        raise DataError(f"x_train has shape {x.shape}; expected {wanted}")
    return by_ndim[x.ndim]


def _only_zeros_and_ones(x: np.ndarray) -> bool:
    return x.dtype.kind == "b" or bool(((x == 0) | (x == 1)).all())


def _targets(target: str, y: np.ndarray) -> tuple[LabelMap | None, Callable[[np.ndarray, str], np.ndarray]]:
    """The label map of a classification, or None, and the encoding of the targets."""
    if target == "auto":
        target = _guess_target(y)
    if target == "regression":
        return None, _as_numbers
    labels = LabelMap.fit(y)
    if len(labels.labels) < 2:
        raise DataError(
            f"y_train of shape {y.shape} holds one class, {labels.labels[0]!r}; expected 2 or more"
        )
    return labels, labels.encode


def _guess_target(y: np.ndarray) -> str:
    if y.dtype.kind != "f":
        return "classification"
    if (y == np.round(y)).all():
        raise DataError(
            f"y_train of shape {y.shape} is {y.dtype} but holds whole numbers only: labels or numbers to "
            'predict? Set data.target to "classification" or "regression"'
        )
    return "regression"


def _as_numbers(y: np.ndarray, name: str) -> np.ndarray:
    if y.dtype.kind not in "iuf":
        raise DataError(f"{name} of shape {y.shape} has type {y.dtype}; expected numbers for a regression")
    return y.astype(np.float64)


def _with_val(parts: dict[str, Split], fraction: float, seed: int, strata: bool) -> tuple[Split, Split]:
    train = parts["train"]
    if "val" in parts:
        return train, parts["val"]
    n_val = round(len(train) * fraction)
    if not 0 < n_val < len(train):
        raise DataError(
            f"x_train has {len(train)} examples: a data.val_fraction of {fraction} leaves {n_val} for "
            f"validation and {len(train) - n_val} for training; expected at least 1 of each "
            "(or give x_val and y_val)"
        )
    val = choose(len(train), n_val, seed, train.y if strata else None)
    return Split(train.x[~val], train.y[~val]), Split(train.x[val], train.y[val])


def _scaled(
    name: str, train: Split, val: Split, test: Split, layout: _Layout, labels: LabelMap | None
) -> Task:
    """Scale by the training examples that are used, and build the task."""
    spiking = layout.kind == "spikes"
    scaler = (
        None if spiking else FeatureScaler.fit(train.x, "global" if layout.kind == "images" else "feature")
    )
    target_scaler = None if labels is not None else TargetScaler.fit(train.y)

    def scale(split: Split) -> Split:
        x = split.x if scaler is None else scaler.transform(split.x)
        return Split(x, split.y if target_scaler is None else target_scaler.transform(split.y))

    return Task(
        name,
        "regression" if labels is None else "classification",
        scale(train),
        scale(val),
        scale(test),
        classes=() if labels is None else labels.names,
        spiking=spiking,
        scaler=scaler,
        image_shape=layout.image_shape,
        labels=labels,
        target_scaler=target_scaler,
    )
