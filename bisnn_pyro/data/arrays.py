"""A task from the user's own arrays in an ``.npz`` file."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from bisnn_pyro.data.checks import check_choice, check_number
from bisnn_pyro.data.labels import LabelMap
from bisnn_pyro.data.npz import read_npz
from bisnn_pyro.data.scaling import FeatureScaler, TargetScaler
from bisnn_pyro.data.splitting import at_most, choose
from bisnn_pyro.data.task import Split, Task
from bisnn_pyro.errors import DataError

INPUT_KINDS = ("auto", "features", "images", "spikes")
TARGET_KINDS = ("auto", "classification", "regression")


def load_npz(
    path: str | os.PathLike[str],
    kind: str = "auto",
    target: str = "auto",
    val_fraction: float = 0.2,
    seed: int = 0,
    n_train: int | None = None,
) -> Task:
    """Make a task of ``x_train, y_train[, x_val, y_val], x_test, y_test``.

    What the inputs are (``kind="auto"``; a text scalar ``kind`` in the file comes before this rule):
    ``[N, F]`` is features, ``[N, C, H, W]`` images, ``[N, T, C, H, W]`` spikes.  ``[N, A, B]`` is
    ready spikes ``[N, T, I]`` if every value in the file's inputs is 0 or 1, else images
    ``[N, H, W]``; so black-and-white images need ``kind="images"`` and spike counts ``kind="spikes"``.

    What the targets are (``target="auto"``): whole-number types, booleans and strings are class
    labels; floats are a regression; floats that are all whole numbers could be either and are an
    error that asks for ``target``.

    Features are scaled to [0, 1] by the training minimum and maximum, a range a feature (images:
    one range in all), and clipped elsewhere.  Regression targets are scaled likewise, unclipped.
    Spikes go in as they are.

    Args:
        path: The file.
        kind: ``"auto"``, ``"features"``, ``"images"`` or ``"spikes"``.
        target: ``"auto"``, ``"classification"`` or ``"regression"``.
        val_fraction: Share of the training set that validates when the file has no ``x_val``.
        seed: Seed of that split and of the choice of ``n_train``; not the training seed.
        n_train: At most so many training examples, classes in proportion; None for all.

    Returns:
        The task, named after the file.

    Raises:
        DataError: If anything in the file is not as described; the message names the array, its
            shape and what was expected.
    """
    check_choice("data.kind", kind, INPUT_KINDS)
    check_choice("data.target", target, TARGET_KINDS)
    check_number("data.val_fraction", val_fraction, 0.0, 1.0)
    arrays = read_npz(path)
    layout = _Layout.of(_resolve_kind(kind, arrays), arrays)
    targets = _targets(target, arrays)
    parts = {
        part: Split(layout.shape(arrays[f"x_{part}"]), targets.encode(arrays[f"y_{part}"], f"y_{part}"))
        for part in ("train", "val", "test")
        if f"x_{part}" in arrays
    }
    strata = targets.labels is not None
    train, val = _with_val(parts, val_fraction, seed, strata)
    keep = at_most(n_train, len(train), seed + 1, train.y if strata else None)
    train = Split(train.x[keep], train.y[keep])
    return _scaled(Path(path).stem, train, val, parts["test"], layout, targets)


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
        """``[N, F]`` in the file's type, or ``[N, T, I]`` as uint8 where the values allow, else float32."""
        if self.kind != "spikes":
            return x.reshape(len(x), -1)
        x = x.reshape(*x.shape[:2], prod(x.shape[2:]))
        small = x.dtype.kind == "b" or (x.min() >= 0 and x.max() <= 255 and bool((x == np.floor(x)).all()))
        return x.astype(np.uint8 if small else np.float32)


_LAYOUTS: dict[str, tuple[str, tuple[int, ...]]] = {
    "features": ("features [N, F]", (2,)),
    "images": ("images [N, H, W] or [N, C, H, W]", (3, 4)),
    "spikes": ("spikes [N, T, I], [N, T, H, W] or [N, T, C, H, W]", (3, 4, 5)),
}


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
    by_ndim = {2: "features", 4: "images", 5: "spikes"}
    if x.ndim == 3:
        inputs = (arrays[n] for n in ("x_train", "x_val", "x_test") if n in arrays)
        return "spikes" if all(_only_zeros_and_ones(a) for a in inputs) else "images"
    if x.ndim not in by_ndim:
        wanted = "; ".join(text for text, _ in _LAYOUTS.values())
        raise DataError(f"x_train has shape {x.shape}; expected {wanted}")
    return by_ndim[x.ndim]


def _only_zeros_and_ones(x: np.ndarray) -> bool:
    return x.dtype.kind == "b" or bool(((x == 0) | (x == 1)).all())


@dataclass(frozen=True)
class _Targets:
    """The label map of a classification, or None, and the encoding that goes with it."""

    labels: LabelMap | None
    encode: Callable[[np.ndarray, str], np.ndarray]


def _targets(target: str, arrays: dict[str, np.ndarray]) -> _Targets:
    y = arrays["y_train"]
    if target == "auto":
        target = _guess_target(y)
    if target == "classification":
        labels = LabelMap.fit(y)
        if len(labels.labels) < 2:
            raise DataError(
                f"y_train of shape {y.shape} holds one class, {labels.labels[0]!r}; expected 2 or more"
            )
        return _Targets(labels, labels.encode)
    return _Targets(None, _as_numbers)


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


def _scaled(name: str, train: Split, val: Split, test: Split, layout: _Layout, targets: _Targets) -> Task:
    """Scale on the training examples that are left, and build the task."""
    spiking = layout.kind == "spikes"
    scaler = (
        None if spiking else FeatureScaler.fit(train.x, "global" if layout.kind == "images" else "feature")
    )
    labels = targets.labels
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
