"""A posterior that was stored as tensors, put back into its network and guide."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from bisnn_pyro.errors import ModelError
from bisnn_pyro.inference.synaptic_guide import SynapticGuide

REFERENCE = "reference"


def stored_tensors(model: Any, guide: SynapticGuide) -> dict[str, Tensor]:
    """Return what :func:`load_posterior` needs: ``guide.*``, ``model.*`` and the reference batch."""
    tensors = {f"guide.{k}": v for k, v in guide.state_dict().items()}
    tensors |= {f"model.{k}": v for k, v in model.state_dict().items()}
    return tensors if model.reference is None else {**tensors, REFERENCE: model.reference}


@torch.no_grad()
def load_posterior(model: Any, guide: SynapticGuide, tensors: Mapping[str, Tensor]) -> None:
    """Put stored tensors into a network and a guide, and refuse what cannot be a trained posterior.

    Args:
        model: the network, a :class:`~bisnn_pyro.models.SpikingGLM`.
        guide: its guide, which need not be initialised.
        tensors: from :func:`stored_tensors`; others are ignored.

    Raises:
        ModelError: if tensors are missing, unknown, of another shape or type, or not finite.
    """
    for name, value in tensors.items():
        # A prior may be certain of a sign.
        wrong = value.isnan() if name.startswith("prior.") else ~value.isfinite()
        if bool(wrong.any()):
            raise ModelError(f"{name} has values that are NaN or infinite")
    own = {prefix: _below(tensors, prefix) for prefix in ("guide", "model")}
    expected = {**model.state_dict()}
    try:
        model.load_state_dict(own["model"])
        guide.load_state_dict(own["guide"])
        weights = {"mode": guide.mode(), "mean": guide.mean()}
    except (RuntimeError, ValueError, LookupError, AttributeError) as error:
        raise ModelError(f"it is not of this network and guide ({error})") from error
    for name, value in own["model"].items():
        _check_alike(f"model.{name}", value, expected[name].shape, expected[name].dtype)
    for name, prior in model.priors().items():
        for kind, found in weights.items():
            if name not in found:
                raise ModelError(f"it has no synapses {name}")
            _check_alike(f"the {kind} of {name}", found[name], prior.shape(), prior.mean.dtype)
    reference = tensors.get(REFERENCE)
    if reference is not None and (reference.dim() != 3 or reference.shape[2] != model.synapses[0].n_inputs):
        raise ModelError(f"the reference batch has shape {list(reference.shape)}, not [T, R, inputs]")
    model.set_reference(reference)


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(f"{prefix}."): v for k, v in tensors.items() if k.startswith(f"{prefix}.")}


def _check_alike(name: str, value: Tensor, shape: torch.Size, dtype: torch.dtype) -> None:
    if value.shape != shape or value.dtype != dtype:
        raise ModelError(
            f"{name} has shape {list(value.shape)} and type {value.dtype}; this network has {list(shape)} "
            f"and {dtype}"
        )
