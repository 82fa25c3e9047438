"""A task: the data that every experiment gets from a source, checked once here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, Literal

import numpy as np

from bisnn_pyro.data.checks import check_choice, check_finite
from bisnn_pyro.data.events.binning import Binning
from bisnn_pyro.data.events.formats import Sensor
from bisnn_pyro.data.events.spikes import Recordings
from bisnn_pyro.data.image_layout import FIRST
from bisnn_pyro.data.out_of_range import OutOfRange
from bisnn_pyro.data.scaling import FeatureScaler, LabelMap, TargetScaler
from bisnn_pyro.errors import DataError

LINE = 200
"""Points of a grid along one feature."""


@dataclass(frozen=True, eq=False)
class Split:
    """Examples and their targets.

    Attributes:
        x: Features ``[N, F]``, float32 in [0, 1] (images flattened), or ready spikes ``[N, T, I]``,
            uint8 (as a file has them, a quarter of the memory) or float32; an array in memory, or
            :class:`~bisnn_pyro.data.Recordings` on disk, which are read when they are indexed.
        y: Class indices ``[N]``, int64, or regression targets ``[N]``, float32, in the rescaled
            units of ``Task.target_scaler``.
        fingerprint: A hash that identifies these examples of the source; empty if the source has none.
    """

    x: Any
    y: np.ndarray
    fingerprint: str = ""

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True, eq=False)
class Grid:
    """Inputs that cover the feature space, on which a figure shows what a predictor says everywhere.

    Attributes:
        axes: Coordinates along each feature: ``([M],)`` of a line, ``([W], [H])`` of a plane, where the
            first is the horizontal axis; float32, scaled like ``Task.train.x``.
        truth: Noise-free regression targets on a line, ``[M]``, float32, in the task's rescaled units; None
            if unknown.
        gap: Which points of a line lie where there are no training data by design, bool ``[M]``; None if
            unknown.

    Example:
        >>> import numpy as np
        >>> plane = Grid((np.linspace(0, 1, 3), np.linspace(0, 1, 2)))
        >>> plane.x.shape, plane.shape
        ((6, 2), (2, 3))
    """

    axes: tuple[np.ndarray, ...]
    truth: np.ndarray | None = None
    gap: np.ndarray | None = None

    @property
    def x(self) -> np.ndarray:
        """The points as inputs of an encoder, ``[M, 1]`` or ``[H W, 2]``, row by row."""
        return np.stack(np.meshgrid(*self.axes), axis=-1).reshape(-1, len(self.axes))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one value per point: ``(M,)`` or ``(H, W)``."""
        return tuple(len(axis) for axis in reversed(self.axes))


@dataclass(frozen=True, eq=False)
class Task:
    """A data set ready for an encoder.

    Attributes:
        name: Short name, for folders and tables.
        kind: What is predicted.
        train: Training examples.
        val: Validation examples, for early stopping and tuning; may be empty, ``[0, F]``.
        test: Test examples, never used in training.
        classes: Original labels as strings, by class index; empty for a regression.
        spiking: Whether ``x`` is ready spikes, which need no encoder.
        scaler: Maps raw features to ``x``; None if they were not scaled.
        image_shape: ``(C, H, W)`` if the features (or the I inputs) are a flattened image.
        labels: Original labels and class indices; None for a regression.
        target_scaler: Maps original targets to ``y``; None for a classification.
        notes: Messages of the source to the user, one sentence each, such as recordings left out, and why.
        binning: How recordings became ``x``; None for other data.
        sensor: ``(H, W)`` of these recordings.
        layout: How the images of the source were laid out: ``"channels-first"`` or ``"channels-last"``; ``x``
            is channels first in any case.
        out_of_range: Part -> its raw inputs outside the range of the training inputs, which were clipped.
        line: For a task with one feature: lays a grid of so many points along it (see :meth:`grid`).

    Raises:
        DataError: If an array has the wrong shape, type or values, or a class only test or validation
            examples; the message names it.

    Example:
        >>> import numpy as np
        >>> x, y = np.random.default_rng(0).random((12, 3), dtype=np.float32), np.arange(12) % 2
        >>> parts = [Split(x[rows], y[rows]) for rows in (slice(0, 8), slice(8, 10), slice(10, 12))]
        >>> task = Task("mine", "classification", *parts, classes=("no", "yes"))
        >>> task.n_features, task.n_classes, len(task.train)
        (3, 2, 8)
    """

    name: str
    kind: Literal["classification", "regression"]
    train: Split
    val: Split
    test: Split
    classes: tuple[str, ...] = ()
    spiking: bool = False
    scaler: FeatureScaler | None = None
    image_shape: tuple[int, ...] | None = None
    labels: LabelMap | None = None
    target_scaler: TargetScaler | None = None
    notes: tuple[str, ...] = ()
    binning: Binning | None = None
    sensor: Sensor | None = None
    layout: str = FIRST
    out_of_range: Mapping[str, OutOfRange] = field(default_factory=dict)
    line: Callable[[int], Grid] | None = None

    def __post_init__(self) -> None:
        check_choice("task kind", self.kind, ("classification", "regression"))
        self._check_classes()
        for part in ("train", "val", "test"):
            split: Split = getattr(self, part)
            self._check_inputs(f"{part}.x", split.x)
            self._check_targets(f"{part}.y", split)
        self._check_sizes()
        if self.kind == "classification":
            held = np.concatenate([self.val.y, self.test.y])
            check_training_classes(self.name, self.classes, self.train.y, held)

    @property
    def n_features(self) -> int:
        """F, or I for ready spikes."""
        return int(self.train.x.shape[-1])

    @property
    def n_classes(self) -> int:
        """C; 0 for a regression."""
        return len(self.classes)

    @property
    def fingerprints(self) -> dict[str, str]:
        """Part -> the hash of its examples, for the parts whose source has one."""
        parts = {"train": self.train, "val": self.val, "test": self.test}
        return {name: split.fingerprint for name, split in parts.items() if split.fingerprint}

    @property
    def n_steps(self) -> int | None:
        """T of ready spikes; None for features, whose encoder decides."""
        return int(self.train.x.shape[1]) if self.spiking else None

    def grid(self, resolution: int = 60) -> Grid | None:
        """Lay the grid on which a figure shows the predictions everywhere; None if the task has none.

        A task with two features and two classes has the unit square; a task that gives ``line``, such as
        :func:`~bisnn_pyro.data.curve`, has a line of 200 points with the truth and the gaps.

        Args:
            resolution: Points along each side of a plane.

        Example:
            >>> from bisnn_pyro.data import curve, handwritten_digits, two_moons
            >>> two_moons().grid(resolution=3).x.shape
            (9, 2)
            >>> grid = curve().grid()
            >>> grid.x.shape, grid.truth.shape, int(grid.gap.sum())
            ((200, 1), (200,), 100)
            >>> handwritten_digits().grid() is None
            True
        """
        if self.line is not None:
            return self.line(LINE)
        if self.spiking or (self.n_features, self.n_classes) != (2, 2):
            return None
        axis = np.linspace(0, 1, resolution, dtype=np.float32)
        return Grid((axis, axis))

    def _check_classes(self) -> None:
        if self.kind == "regression" and self.classes:
            raise DataError(f"a regression has no classes; got {self.classes}")
        if self.kind == "classification" and len(self.classes) < 2:
            raise DataError(f"the training labels have {len(self.classes)} class(es); expected at least 2")
        if self.labels is not None and self.labels.names != self.classes:
            raise DataError(f"classes are {self.classes} but the label map has {self.labels.names}")

    def _check_inputs(self, name: str, x: Any) -> None:
        layout, types = ("[N, T, I]", ("uint8", "float32")) if self.spiking else ("[N, F]", ("float32",))
        ndim = 3 if self.spiking else 2
        if not isinstance(x, np.ndarray | Recordings) or x.ndim != ndim or x.dtype.name not in types:
            found = f"shape {np.shape(x)} and type {getattr(x, 'dtype', type(x).__name__)}"
            raise DataError(f"{name} has {found}; expected {layout}, {' or '.join(types)}")
        if 0 in (x.shape[1:] if name == "val.x" else x.shape):
            raise DataError(f"{name} has shape {x.shape}; expected {layout} with no empty axis")
        if not len(x) or isinstance(x, Recordings):  # bits on disk are valid by construction
            return
        check_finite(name, x)
        low, high = x.min(), x.max()
        if low < 0 or (high > 1 and not self.spiking):
            wanted = "spikes or spike counts, 0 or more" if self.spiking else "scaled features in [0, 1]"
            raise DataError(f"{name} of shape {x.shape} has values from {low} to {high}; expected {wanted}")

    def _check_targets(self, name: str, split: Split) -> None:
        y, kind = split.y, "int64" if self.kind == "classification" else "float32"
        if not isinstance(y, np.ndarray) or y.shape != (len(split.x),) or y.dtype.name != kind:
            found = f"shape {np.shape(y)} and type {getattr(y, 'dtype', type(y).__name__)}"
            raise DataError(f"{name} has {found}; expected [N] with N = {len(split.x)} as in its x, {kind}")
        check_finite(name, y)
        if self.kind == "classification" and len(y) and (y.min() < 0 or y.max() >= self.n_classes):
            raise DataError(
                f"{name} has values from {y.min()} to {y.max()}; expected 0..{self.n_classes - 1}"
            )

    def _check_sizes(self) -> None:
        for part in ("val", "test"):
            shape = getattr(self, part).x.shape
            if shape[1:] != self.train.x.shape[1:]:
                raise DataError(
                    f"{part}.x has shape {shape}; expected N, then {self.train.x.shape[1:]} as train.x"
                )
        if self.image_shape is not None and prod(self.image_shape) != self.n_features:
            raise DataError(f"image_shape {self.image_shape} does not hold {self.n_features} features")
        if self.scaler is not None and self.scaler.n_features != self.n_features:
            raise DataError(
                f"the scaler has {self.scaler.n_features} features; expected {self.n_features} as train.x"
            )


def check_training_classes(
    name: str, classes: Sequence[str], trained: np.ndarray, others: np.ndarray
) -> None:
    """Refuse a class that has examples, but none to train on: the network would never learn it.

    Args:
        name: Of the task, for the message.
        classes: Names by class index.
        trained: Class indices of the training examples.
        others: Class indices of other examples of the same data set.

    Raises:
        DataError: With the first such class and what to do.
    """
    missing = np.setdiff1d(others, trained)
    if len(missing):
        more = f" (and {len(missing) - 1} more classes)" if len(missing) > 1 else ""
        raise DataError(
            f"none of the {len(trained)} training examples of {name} is of class "
            f"{classes[missing[0]]!r}{more}, but others are: use more training examples, fewer for "
            "validation, or fewer classes; if the labels are numbers to predict, set data.target = "
            "'regression'"
        )
