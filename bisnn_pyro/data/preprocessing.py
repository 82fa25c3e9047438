"""How raw data became the inputs and targets of a network: ``preprocessing.json`` of a run folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bisnn_pyro.data.checks import check_choice
from bisnn_pyro.data.events.binning import Binning
from bisnn_pyro.data.events.formats import Sensor
from bisnn_pyro.data.image_layout import FIRST, arranged
from bisnn_pyro.data.limits import max_bytes
from bisnn_pyro.data.out_of_range import ACTIONS, OutOfRange
from bisnn_pyro.data.raw_inputs import as_array, as_spikes
from bisnn_pyro.data.scaling import FeatureScaler, LabelMap, TargetScaler
from bisnn_pyro.data.standard_encoder import Standardiser
from bisnn_pyro.data.task import Task
from bisnn_pyro.errors import DataError

if TYPE_CHECKING:
    from bisnn_pyro.data.encoders import Encoder

_OPTIONAL = ("image_shape", "binning", "sensor", "fingerprints", "layout")
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
        layout: ``"channels-last"`` if the raw images were laid out so; None for channels first.

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
    layout: str | None = None

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
            None if task.layout == FIRST else task.layout,
        )

    def inputs(self, x: Any, on_out_of_range: str = "clip") -> tuple[Any, OutOfRange]:
        """Turn raw inputs into what a :class:`Task` of the same data would hold.

        Args:
            x: Features, images or ready spikes ``[N, ...]``: an array, a tensor, a data frame or a sparse
                matrix.  Spikes that are read on demand stay as they are.
            on_out_of_range: What happens to features outside the range of the training set: ``"clip"``,
                ``"refuse"`` or ``"pass"``.

        Returns:
            Scaled features ``[N, F]``, or spikes ``[N, T, I]``; and how many values were out of range.

        Raises:
            DataError: If the shape is not that of the training inputs, or the values cannot be used.
        """
        check_choice("predict.on_out_of_range", on_out_of_range, ACTIONS)
        if self.spiking and _on_demand(x):
            return arranged("x", x, self.n_features, n_steps=self.n_steps), OutOfRange()
        array = as_array("x", x)
        layout = self.layout or FIRST
        array = arranged("x", array, self.n_features, self.image_shape, layout, self.n_steps)
        if self.spiking:
            return as_spikes("x", array), OutOfRange()
        # Features without a scaler are those of a task whose own range is [0, 1].
        n = self.n_features
        scaler = FeatureScaler(np.zeros(n), np.ones(n)) if self.scaler is None else self.scaler
        found = scaler.out_of_range(array)
        if found.share and on_out_of_range == "refuse":
            raise DataError(f"{_outside(array, scaler)}; prepare x as the training data were, or clip it")
        return scaler.transform(array, clip=on_out_of_range != "pass"), replace(found, action=on_out_of_range)

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


def _outside(x: np.ndarray, scaler: FeatureScaler) -> str:
    """Name the first value that is out of range."""
    row, feature = np.argwhere((x < scaler.low) | (x > scaler.high))[0]
    low, high = scaler.low[feature], scaler.high[feature]
    value = float(x[row, feature])
    return (
        f"x holds {value:g} in row {row}, feature {feature}, outside the training range [{low:g}, {high:g}]"
    )


def _on_demand(x: Any) -> bool:
    """Whether this is indexed like an array and reads its rows when they are used."""
    if isinstance(x, np.ndarray):
        return isinstance(x, np.memmap) and x.nbytes > max_bytes()
    in_memory = hasattr(x, "detach") or hasattr(x, "toarray")
    return not in_memory and hasattr(x, "shape") and hasattr(x, "dtype")
