"""A task: what every experiment gets from a data source, checked once here."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, Literal

import numpy as np

from bisnn_pyro.data.checks import check_choice, check_finite
from bisnn_pyro.data.events.binning import Binning
from bisnn_pyro.data.events.record import Sensor
from bisnn_pyro.data.events.recordings import Recordings
from bisnn_pyro.data.labels import LabelMap
from bisnn_pyro.data.scaling import FeatureScaler, TargetScaler
from bisnn_pyro.errors import DataError


@dataclass(frozen=True, eq=False)
class Split:
    """Examples and their targets.

    Attributes:
        x: Features ``[N, F]``, float32 in [0, 1] (images flattened), or ready spikes ``[N, T, I]``,
            uint8 (as a file has them, a quarter of the memory) or float32; in memory, or
            :class:`~bisnn_pyro.data.events.recordings.Recordings` on disk, of which an index reads some.
        y: Class indices ``[N]``, int64, or regression targets ``[N]``, float32, in the rescaled
            units of ``Task.target_scaler``.
        fingerprint: Which examples of the source these are, a hash; empty where the source gives none.
    """

    x: Any
    y: np.ndarray
    fingerprint: str = ""

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True, eq=False)
class Task:
    """A data set ready for an encoder.

    Attributes:
        name: Short name, for folders and tables.
        kind: What is predicted.
        train: Training examples.
        val: Validation examples, for early stopping and tuning; may be none, ``[0, F]``.
        test: Test examples, never used in training.
        classes: Original labels as strings, by class index; empty for a regression.
        spiking: Whether ``x`` is ready spikes, which need no encoder.
        scaler: Raw features to ``x``; None where there is nothing to undo.
        image_shape: ``(C, H, W)`` where the features (or the I inputs) are a flattened image.
        labels: Original labels and class indices; None for a regression.
        target_scaler: Original targets to ``y``; None for a classification.
        notes: What the source has to say to the user, a sentence each: recordings left out, and why.
        binning: How recordings became ``x``; None for other data.
        sensor: ``(H, W)`` of these recordings.

    Raises:
        DataError: If an array has the wrong shape, type or values; the message names it.
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

    def __post_init__(self) -> None:
        check_choice("task kind", self.kind, ("classification", "regression"))
        self._check_classes()
        for part in ("train", "val", "test"):
            split: Split = getattr(self, part)
            self._check_inputs(f"{part}.x", split.x)
            self._check_targets(f"{part}.y", split)
        self._check_sizes()

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
        """Part -> which examples it holds, of the parts whose source says."""
        parts = {"train": self.train, "val": self.val, "test": self.test}
        return {name: split.fingerprint for name, split in parts.items() if split.fingerprint}

    @property
    def n_steps(self) -> int | None:
        """T of ready spikes; None for features, whose encoder decides."""
        return int(self.train.x.shape[1]) if self.spiking else None

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
        if not len(x) or isinstance(x, Recordings):  # bits on disk: neither read nor in doubt
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
