"""The table ``[network]`` of a config, and its layers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from bisnn_pyro.experiments.tables import Count, NonNegative, Positive, Reference, Table


class DenseLayer(Table):
    """A dense hidden layer, with lateral synapses if ``recurrent``."""

    kind: Literal["dense"]
    units: Count
    recurrent: bool = False


class ConvLayer(Table):
    """A convolutional hidden layer; ``pool > 1`` pools its spikes over windows of that side."""

    kind: Literal["conv"]
    channels: Count
    kernel: Count
    stride: Count = 1
    padding: Annotated[int, Field(ge=0)] = 0
    pool: Count = 1
    pooling: Literal["max", "mean"] = "max"


def _kind_of_layer(layer: Any) -> Any:
    """Return which member of :data:`HiddenLayer` a value is meant to be."""
    if isinstance(layer, Table):
        return layer.kind  # type: ignore[attr-defined]
    return layer.get("kind") if isinstance(layer, dict) else "int"


HiddenLayer = Annotated[
    Annotated[Count, Tag("int")] | Annotated[DenseLayer, Tag("dense")] | Annotated[ConvLayer, Tag("conv")],
    Discriminator(
        _kind_of_layer,
        custom_error_type="kind_of_layer",
        custom_error_message="expected a number of units, or a table with kind = 'dense' or kind = 'conv'",
    ),
]
"""A number of units, which is a plain dense layer, or a table."""


class NetworkConfig(Table):
    """The network; input size and number of classes come from the data.

    ``dense`` is the spiking network.  ``hidden`` are its layers, first to last: numbers of units, or tables
    such as ``{kind = "conv", channels = 16, kernel = 5, pool = 2}`` and ``{kind = "dense", units = 256,
    recurrent = true}``; convolutions come first and are for images.

    ``sign`` is a network of sign units with a bias each and a trained read-out, in one step; of the keys only
    ``hidden`` and the surrogate's are for it.  The surrogate ``auto`` is ``boxcar``, or ``single-step`` for
    single-step neurons; ``surrogate_alpha`` is that one's, and ``threshold`` a single-step neuron's.
    """

    name: Literal["dense", "sign"] | Reference = "dense"
    hidden: Annotated[list[HiddenLayer], Field(min_length=1)] = [256, 256]  # noqa: RUF012  (pydantic copies it)
    neuron: Literal["threshold", "escape", "single-step"] | Reference = "threshold"
    surrogate: Literal["auto", "boxcar", "sigmoid", "fast-sigmoid", "triangle", "arctan", "single-step"] = (
        "auto"
    )
    surrogate_width: Positive = 0.5
    surrogate_alpha: Positive = 4.0
    threshold: Annotated[float, Field(allow_inf_nan=False)] = 1.0
    tau_membrane: Positive = 10.0
    tau_synapse: Positive = 6.0
    tau_refractory: Positive = 2.0
    reset: NonNegative = 1.0
    delta: Positive = 0.25
    credit: Literal["local", "end-to-end"] = "local"
    readout: Literal["random", "trained"] = "random"
    gain: Positive = 1.0
    readout_gain: Positive = 1.0
    bias: bool = False
    normalise: bool = False
    burn_in: Annotated[int, Field(ge=0)] = 0
    readout_seed: int = 0
    settings: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _named_surrogate(cls, values: Any) -> Any:
        """Write the surrogate's name where it is left to the neuron, so that a run's config says which."""
        if not isinstance(values, dict) or values.get("surrogate", "auto") != "auto":
            return values
        name = "single-step" if values.get("neuron") == "single-step" else "boxcar"
        return {**values, "surrogate": name}
