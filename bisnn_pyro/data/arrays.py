"""A user's own arrays in ``.npz`` files: a task, or points for a network that is already trained."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from bisnn_pyro.data import npy
from bisnn_pyro.data.checks import check_choice, check_finite, check_number
from bisnn_pyro.data.image_layout import FIRST, LAST, LAYOUTS, channels_first, image_layout
from bisnn_pyro.data.limits import check_example
from bisnn_pyro.data.location import given_path
from bisnn_pyro.data.npy import Header
from bisnn_pyro.data.out_of_range import out_of_range_notes
from bisnn_pyro.data.raw_inputs import as_spikes, check_numbers
from bisnn_pyro.data.scaling import FeatureScaler, LabelMap, TargetScaler
from bisnn_pyro.data.splitting import at_most, choose
from bisnn_pyro.data.task import Split, Task, check_training_classes
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
_MANY_CLASSES, _FEW_EXAMPLES = 20, 10
"""More classes than the first with fewer examples each than the second may be numbers to predict."""


def load_npz(
    path: str | os.PathLike[str],
    kind: str = "auto",
    target: str = "auto",
    val_fraction: float = 0.2,
    seed: int = 0,
    n_train: int | None = None,
    layout: str = "auto",
) -> Task:
    """Make a task from the arrays ``x_train, y_train[, x_val, y_val], x_test, y_test`` of a file.

    Inputs with ``kind="auto"`` (a text scalar ``kind`` in the file takes precedence over this rule):
    ``[N, F]`` is features, ``[N, C, H, W]`` or ``[N, H, W, C]`` images, ``[N, T, C, H, W]`` or
    ``[N, T, H, W, C]`` spikes.  ``[N, A, B]`` is
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
        layout: ``"channels-first"`` or ``"channels-last"`` of images and spikes with channels; ``"auto"``
            takes an axis of 1 to 4 for the channels, and refuses shapes that leave it open.

    Returns:
        The task, named after the file; its ``image_shape`` is channels first.

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
    inputs = _Layout.of(_resolve_kind(kind, arrays), arrays, layout)
    labels, encode = _targets(target, arrays["y_train"])
    notes = _target_notes(arrays["y_train"], labels) if target == "auto" else ()
    parts = {
        part: Split(inputs.shape(arrays[f"x_{part}"], part), encode(arrays[f"y_{part}"], f"y_{part}"))
        for part in ("train", "val", "test")
        if f"x_{part}" in arrays
    }
    train, val = _with_val(parts, val_fraction, seed, labels is not None)
    keep = at_most(n_train, len(train), seed + 1, None if labels is None else train.y)
    source, train = train.y, Split(train.x[keep], train.y[keep])
    if labels is not None:
        check_training_classes(Path(path).stem, labels.names, train.y, source)
    return _scaled(Path(path).stem, train, val, parts["test"], inputs, labels, notes)


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

    def check(headers: Mapping[str, Header]) -> None:
        (x_name, x), (y_name, y) = headers.items()
        check_numbers(x_name, x)
        _check_pair(y_name, y, x_name, x)

    x, y = _load(file, names, check).values()
    check_finite(f"{file}: x", x)
    return x, _as_vector(f"{file}: y", y)


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
    arrays = _load(file, lambda held: _task_names(file, held), _check_headers)
    for name in arrays:
        if name.startswith("x_"):
            check_finite(name, arrays[name])
        elif name.startswith("y_"):
            arrays[name] = _as_vector(name, arrays[name])
    return arrays


def _existing(path: str | os.PathLike[str]) -> Path:
    file = given_path(path, "the path of an .npz file")
    if file.is_dir():
        raise DataError(f"{file} is a folder; expected an .npz file")
    if not file.is_file():
        raise DataError(f"{file} does not exist; expected an .npz file (looked in {Path.cwd()})")
    return file


def _load(
    file: Path,
    choose_names: Callable[[Sequence[str]], Sequence[str]],
    check: Callable[[Mapping[str, Header]], None] = lambda headers: None,
) -> dict[str, np.ndarray]:
    try:
        with file.open("rb") as stream:
            if not zipfile.is_zipfile(stream):
                raise DataError(f"{file} is not an .npz archive (or is cut short); write it with numpy.savez")
            return npy.read_npz(stream, choose_names, check)
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}") from error
    except DataError as error:
        raise error if str(file) in str(error) else DataError(f"{file}: {error}") from error


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


def _check_headers(headers: Mapping[str, Header]) -> None:
    """Compare inputs and targets before any of them is read."""
    for name, x in headers.items():
        if name.startswith("x_"):
            check_numbers(name, x)
            _check_pair(f"y_{name[2:]}", headers[f"y_{name[2:]}"], name, x)


def _check_pair(name: str, y: Header, x_name: str, x: Header) -> None:
    column = y.ndim == 2 and y.shape[1] == 1
    if (y.ndim != 1 and not column) or y.shape[0] != x.shape[0]:
        hint = "; one-hot rows must be turned into labels with argmax" if y.ndim == 2 else ""
        raise DataError(
            f"{name} has shape {y.shape}; expected [N] with N = {x.shape[0]} as in {x_name} "
            f"of shape {x.shape}{hint}"
        )


def _as_vector(name: str, y: np.ndarray) -> np.ndarray:
    check_finite(name, y)
    return y.reshape(-1)  # a column of targets means the same


# --- what the arrays mean ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Layout:
    """How the inputs of one file are laid out."""

    kind: str
    image_shape: tuple[int, ...] | None
    order: str = FIRST

    @classmethod
    def of(cls, kind: str, arrays: dict[str, np.ndarray], layout: str) -> _Layout:
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
        check_choice("data.layout", layout, LAYOUTS)
        pixels = first.shape[1:] if kind == "images" else first.shape[2:]
        if kind == "features" or len(pixels) == 1:
            return cls(kind, None)
        if len(pixels) == 2:
            return cls(kind, (1, *pixels))
        order = image_layout("x_train", pixels, layout)
        height, width, channels = pixels if order == LAST else (*pixels[1:], pixels[0])
        return cls(kind, (channels, height, width), order)

    def shape(self, x: np.ndarray, part: str) -> np.ndarray:
        """``[N, F]`` in the file's type, or ``[N, T, I]`` as uint8 if the values allow it, else float32."""
        if self.image_shape is not None and x.ndim > 3:
            x = channels_first(x, self.order)
        if self.kind != "spikes":
            return x.reshape(len(x), -1)
        x = x.reshape(*x.shape[:2], prod(x.shape[2:]))
        check_example(*x.shape[1:])
        return as_spikes(f"x_{part}", x)


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


def _target_notes(y: np.ndarray, labels: LabelMap | None) -> tuple[str, ...]:
    """Say so if whole numbers that are taken for classes look like numbers to predict."""
    if labels is None or y.dtype.kind not in "iu":
        return ()
    n = len(labels.labels)
    if n <= _MANY_CLASSES or len(y) >= _FEW_EXAMPLES * n:
        return ()
    return (
        f"the {len(y)} training targets are {n} different whole numbers, taken for {n} classes; if they are "
        "numbers to predict, set data.target = 'regression'",
    )


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
    name: str,
    train: Split,
    val: Split,
    test: Split,
    layout: _Layout,
    labels: LabelMap | None,
    notes: tuple[str, ...],
) -> Task:
    """Scale by the training examples that are used, and build the task."""
    spiking = layout.kind == "spikes"
    scaler = (
        None if spiking else FeatureScaler.fit(train.x, "global" if layout.kind == "images" else "feature")
    )
    target_scaler = None if labels is not None else TargetScaler.fit(train.y)
    outside = (
        {} if scaler is None else {k: scaler.out_of_range(p.x) for k, p in (("val", val), ("test", test))}
    )

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
        notes=(*notes, *out_of_range_notes(outside)),
        layout=layout.order,
        out_of_range=outside,
    )
