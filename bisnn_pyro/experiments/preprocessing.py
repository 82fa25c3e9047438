"""How raw data became what the network saw: ``preprocessing.json`` of a run folder."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from bisnn_pyro.data import Binning, FeatureScaler, LabelMap, Standardiser, TargetScaler, Task
from bisnn_pyro.data.encoders import Encoder
from bisnn_pyro.data.events.record import Sensor

LATER = ("image_shape", "binning", "sensor", "fingerprints")
"""Keys that runs of earlier releases lack."""


@dataclass(frozen=True)
class Preprocessing:
    """How raw data became what the network saw; stored with the run.

    Attributes:
        kind: ``classification`` or ``regression``.
        n_features: F, or I for ready spikes.
        n_classes: C, 0 for a regression.
        spiking: whether inputs are ready spikes ``[N, T, I]``.
        n_steps: T for ready spikes.
        scaler: raw features to [0, 1].
        labels: original labels to indices.
        target_scaler: original targets to the network's units.
        standardiser: statistics of the training features, where the encoder uses them.
        image_shape: ``(C, H, W)`` where the features are flattened images.
        binning: how recordings became spikes, where the data are recordings.
        sensor: ``(H, W)`` of these recordings.
        fingerprints: which recordings each part of the data holds, a hash a part.
    """

    kind: str
    n_features: int
    n_classes: int
    spiking: bool = False
    n_steps: int | None = None
    scaler: FeatureScaler | None = None
    labels: LabelMap | None = None
    target_scaler: TargetScaler | None = None
    standardiser: Standardiser | None = None
    image_shape: tuple[int, ...] | None = None
    binning: Binning | None = None
    sensor: Sensor | None = None
    fingerprints: dict[str, str] | None = None

    @classmethod
    def of(cls, task: Task, encoder: Encoder) -> Preprocessing:
        """Return the preprocessing of a task and of its fitted encoder."""
        return cls(
            task.kind,
            task.n_features,
            task.n_classes,
            task.spiking,
            task.n_steps,
            task.scaler,
            task.labels,
            task.target_scaler,
            getattr(encoder, "standardiser", None),
            task.image_shape,
            task.binning,
            task.sensor,
            task.fingerprints or None,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; a part that came with a later release only where it is used."""
        parts = {"scaler": self.scaler, "labels": self.labels, "target_scaler": self.target_scaler}
        later: dict[str, Any] = {
            "standardiser": self.standardiser and self.standardiser.to_dict(),
            "image_shape": self.image_shape and list(self.image_shape),
            "binning": self.binning and asdict(self.binning),
            "sensor": self.sensor and list(self.sensor),
            "fingerprints": self.fingerprints,
        }
        plain = {k: v for k, v in self.__dict__.items() if k not in parts and k not in later}
        plain |= {k: None if v is None else v.to_dict() for k, v in parts.items()}
        return plain | {k: v for k, v in later.items() if v is not None}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Preprocessing:
        """Return what :meth:`to_dict` wrote."""
        values = {"standardiser": None, **values}
        for key in ("image_shape", "sensor"):
            values[key] = None if values.get(key) is None else tuple(values[key])
        values["binning"] = Binning(**values["binning"]) if values.get("binning") else None
        readers: dict[str, Any] = {
            "scaler": FeatureScaler,
            "labels": LabelMap,
            "target_scaler": TargetScaler,
            "standardiser": Standardiser,
        }
        parts = {k: None if values[k] is None else c.from_dict(values[k]) for k, c in readers.items()}
        return cls(**{**values, **parts})
