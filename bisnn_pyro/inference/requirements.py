"""What a run holds in memory at once, from its sizes alone: nothing is allocated to find out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_FLOAT, _DOUBLE = 4, 8
_COPIES = 12
"""Of each synapse: parameter, gradient, two moments, draws, the best and the last state, a checkpoint."""
_BLOCK = 250
"""Examples that are encoded together for prediction."""


@dataclass(frozen=True)
class Sizes:
    """The sizes that memory depends on.

    Attributes:
        n_inputs: I.
        hidden: the layers, as a config has them: numbers of units, or tables.
        image: ``(C, H, W)`` of the inputs, if there are convolutions.
        n_outputs: C, classes or 1.
        n_steps: T.
        n_train: training examples.
        n_points: points that the committee votes on and that are kept: test points, those of a map.
        batch_size: examples in a mini-batch.
        particles: weight draws per step.
        draws: members of the committee.
        components: of a mixture.
        bins: of a calibration error.
        early: early decisions.
    """

    n_inputs: int
    hidden: Sequence[int | Mapping[str, Any]]
    image: Sequence[int] | None = None
    n_outputs: int = 1
    n_steps: int = 1
    n_train: int = 1
    n_points: int = 1
    batch_size: int = 1
    particles: int = 1
    draws: int = 1
    components: int = 1
    bins: int = 1
    early: int = 0

    @classmethod
    def of(cls, config: Mapping[str, Any], task: Any, encoder: Any) -> Sizes:
        """Return the sizes of a run.

        Args:
            config: its tables.
            task: its task, or what a finished run knows of it: sizes, and no data.
            encoder: with ``n_steps`` and ``n_inputs``.
        """
        n_train, n_val, n_test = (len(getattr(task, name, "")) for name in ("train", "val", "test"))
        guide, train, analysis = (config.get(name, {}) for name in ("guide", "train", "analysis"))
        map_points = analysis.get("resolution", 0) ** 2 if task.n_features == 2 else 0
        early = analysis.get("early_decisions", 0)
        return cls(
            encoder.n_inputs(task.n_features),
            config["network"]["hidden"],
            task.image_shape,
            task.n_classes or 1,
            encoder.n_steps,
            max(n_train, 1),
            n_val + n_test + map_points,
            train["batch_size"],
            train.get("particles", 1),
            max(config.get("predict", {}).get("draws", 1), train.get("validation_draws", 1)),
            guide.get("components", 1),
            analysis.get("bins", 1),
            early if isinstance(early, int) else len(early),
        )


def memory_needs(sizes: Sizes) -> dict[str, float]:
    """Return the bytes of what a run holds in memory, in words -> bytes: an estimate from above.

    Example:
        >>> needs = memory_needs(Sizes(100, [256, 256], n_outputs=2, n_steps=100, batch_size=40, draws=50))
        >>> max(needs, key=needs.get), sum(needs.values()) < 1e8
        ('encoded points (n_steps, encoder)', True)
    """
    weights, units = network_size(sizes)
    batch = min(sizes.batch_size, sizes.n_train)
    vote = sizes.n_points * max(sizes.n_outputs, 1) * _DOUBLE
    return {
        "the synapses (network.hidden)": weights * _FLOAT * (_COPIES + sizes.particles) * sizes.components,
        "a mini-batch over time (train.batch_size, network.hidden, n_steps)": sizes.n_steps
        * batch
        * (2 * sizes.n_inputs + 4 * units * sizes.particles)
        * _FLOAT,
        "encoded points (n_steps, encoder)": 3.0 * sizes.n_steps * _BLOCK * sizes.n_inputs * _FLOAT,
        "the committee's votes (predict.draws, analysis.resolution)": 2.0 * sizes.draws * vote,
        "the early votes (analysis.early_decisions)": float(sizes.early * vote),
        "the bins (analysis.bins)": 100.0 * sizes.bins,
    }


def network_size(sizes: Sizes) -> tuple[int, int]:
    """Return the numbers of synapses, those of the read-out included, and of hidden units.

    Example:
        >>> network_size(Sizes(4, [8, {"kind": "dense", "units": 3, "recurrent": True}]))
        (68, 11)
    """
    weights, units, n_inputs, image = 0, 0, sizes.n_inputs, list(sizes.image or ())
    for layer in sizes.hidden:
        if isinstance(layer, Mapping) and "channels" in layer:
            if len(image) != 3:
                break  # refused where layers are built
            own, n_units, image = _convolution(layer, image)
            n_inputs = math.prod(image)
        else:
            n_units = layer if isinstance(layer, int) else layer["units"]
            recurrent = isinstance(layer, Mapping) and layer.get("recurrent")
            own = n_units * (n_inputs + (n_units if recurrent else 0))
            n_inputs = n_units
        weights, units = weights + own, units + n_units
    return weights + n_inputs * sizes.n_outputs, units


def _convolution(layer: Mapping[str, Any], image: Sequence[int]) -> tuple[int, int, list[int]]:
    """Return a convolution's synapses and units, and the shape of its pooled maps."""
    channels, height, width = image
    kernel, stride, pool = layer["kernel"], layer.get("stride", 1), layer.get("pool", 1)
    maps = [max(1, (side + 2 * layer.get("padding", 0) - kernel) // stride + 1) for side in (height, width)]
    made = layer["channels"]
    return (
        made * channels * kernel**2,
        made * math.prod(maps),
        [made, *(max(1, side // pool) for side in maps)],
    )
