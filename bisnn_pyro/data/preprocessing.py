"""How raw data became the inputs and targets of a network: ``preprocessing.json`` of a run folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from bisnn_pyro.data.events.binning import Binning
from bisnn_pyro.data.events.formats import Sensor
from bisnn_pyro.data.scaling import FeatureScaler, LabelMap, TargetScaler
from bisnn_pyro.data.standard_encoder import Standardiser
from bisnn_pyro.data.task import Task

if TYPE_CHECKING:
    from bisnn_pyro.data.encoders import Encoder

_OPTIONAL = ("image_shape", "binning", "sensor", "fingerprints")
"""Keys that are stored only if they are used, and that runs of earlier releases lack."""
_MAPS: dict[str, Any] = {
    "scaler": FeatureScaler,
    "labels": LabelMap,
    "target_scaler": TargetScaler,
    "standardiser": Standardiser,
}


@dataclass(frozen=True)
class Preprocessing:
    """How raw data became the inputs and targets of a network; stored with the run.

    Attributes:
        kind: ``classification`` or ``regression``.
        n_features: F, or I for ready spikes.
        n_classes: C, 0 for a regression.
        spiking: Whether inputs are ready spikes ``[N, T, I]``.
        n_steps: T for ready spikes.
        scaler: Raw features to [0, 1].
        labels: Original labels to indices.
        target_scaler: Original targets to the network's units.
        standardiser: Statistics of the training features, if the encoder uses them.
        image_shape: ``(C, H, W)`` if the features are flattened images.
        binning: How recordings became spikes, if the data are recordings.
        sensor: ``(H, W)`` of these recordings.
        fingerprints: Part of the data -> hash of the recordings in it.

    Example:
        >>> from bisnn_pyro.data import PopulationEncoder, two_moons
        >>> stored = Preprocessing.of(two_moons(), PopulationEncoder()).to_dict()
        >>> stored["kind"], stored["n_features"], stored["labels"]
        ('classification', 2, {'labels': [0, 1]})
        >>> Preprocessing.from_dict(stored).scaler.n_features
        2
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
        """Return plain values for JSON; optional parts only if they are used."""
        plain = dict(self.__dict__)
        plain |= {key: plain[key] and plain[key].to_dict() for key in _MAPS}
        plain["binning"] = self.binning and asdict(self.binning)
        plain |= {k: plain[k] and list(plain[k]) for k in ("image_shape", "sensor")}
        return {k: v for k, v in plain.items() if v is not None or k not in (*_OPTIONAL, "standardiser")}

    def matches(self, stored: dict[str, Any]) -> bool:
        """Whether another one, as JSON stored it, describes the same data; it may lack optional parts."""
        now = json.loads(json.dumps(self.to_dict()))
        return stored == {k: v for k, v in now.items() if k in stored or k not in _OPTIONAL}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Preprocessing:
        """Return what :meth:`to_dict` wrote."""
        restored = {"standardiser": None, **values}
        restored |= {k: restored[k] and c.from_dict(restored[k]) for k, c in _MAPS.items()}
        restored |= {k: tuple(values[k]) for k in ("image_shape", "sensor") if values.get(k) is not None}
        if values.get("binning"):
            restored["binning"] = Binning(**values["binning"])
        return cls(**restored)
