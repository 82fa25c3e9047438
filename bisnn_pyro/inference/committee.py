"""Prediction by a committee of sampled networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bisnn_pyro.errors import ModelError
from bisnn_pyro.inference.guides import SynapticGuide
from bisnn_pyro.inference.seeding import Purpose, generator, seeded
from bisnn_pyro.models import SpikingGLM, Window
from bisnn_pyro.models.likelihoods import Regression

Encode = Callable[[Tensor, torch.Generator | None], Tensor]
Weights = dict[str, Tensor]

_ENCODING_BLOCK = 250
"""Examples encoded under one seed, so that the spikes do not depend on how memory is chunked."""


@dataclass(frozen=True)
class Prediction:
    """What S networks say about N points.

    Attributes:
        draws: class probabilities ``[S, N, C]``, or means ``[S, N]`` of a regression.
        log_likelihood: ``[S, N]``, each member's log-likelihood of the targets (the observed site's own,
            without the data set's scale), if they were given.
        noise_scale: standard deviation of a regression's noise, in units of the target.
    """

    draws: np.ndarray
    log_likelihood: np.ndarray | None = None
    noise_scale: float | None = None

    @property
    def mean(self) -> np.ndarray:
        """The committee's vote: probabilities ``[N, C]`` or means ``[N]``, averaged over members."""
        return self.draws.astype(np.float64).mean(axis=0)


def encode_all(encode: Encode, x: Tensor, seed: int) -> list[Tensor]:
    """Encode ``x`` ``[N, ...]`` block by block, each under its own seed; return ``[T, B, I]`` blocks."""
    blocks = x.split(_ENCODING_BLOCK) if len(x) else [x]
    return [_compact(encode(block, generator(seed, Purpose.ENCODING, k))) for k, block in enumerate(blocks)]


def _compact(spikes: Tensor) -> Tensor:
    """Store binary spikes in a byte each; a constant current stays one step in memory."""
    if spikes.stride(0) == 0 or spikes.shape[0] == 0:
        return spikes
    as_bytes = spikes.to(torch.uint8)
    return as_bytes if torch.equal(as_bytes.to(spikes.dtype), spikes) else spikes


def point_draws(weights: Mapping[str, Tensor]) -> Callable[[int, int], Weights]:
    """Return a source of draws that always gives this one network (mode, mean)."""
    return lambda first, n: {name: w.expand(n, *w.shape) for name, w in weights.items()}


def posterior_draws(guide: SynapticGuide, seed: int) -> Callable[[int, int], Weights]:
    """Return a source of posterior draws: member i is the same however they are chunked."""
    return lambda first, n: guide.sample_posterior(n, seed=seed, first=first)


@torch.no_grad()
def predict(
    model: SpikingGLM,
    source: Callable[[int, int], Weights],
    blocks: list[Tensor],
    *,
    n_draws: int,
    y: Tensor | None = None,
    memory: int = 192 * 2**20,
    seed: int = 0,
) -> Prediction:
    """Let ``n_draws`` networks vote on encoded inputs.

    Draws are vectorised; draws and examples are taken in chunks so that working memory stays near
    ``memory`` however many there are (the result itself is ``[S, N, C]``).

    Args:
        model: the network; put into evaluation for the call.
        source: gives the weights of members ``first .. first + n - 1``.
        blocks: encoded inputs ``[T, B, I]`` of consecutive examples, from :func:`encode_all`.
        n_draws: number of members S.
        y: targets ``[N]``, for ``log_likelihood``.
        memory: working memory to aim at, in bytes.
        seed: of the hidden spikes of stochastic neurons (which then depend on the chunking as well).
    """
    if n_draws < 1:
        raise ModelError(f"a committee needs at least one member, not {n_draws}")
    n_points = sum(block.shape[1] for block in blocks)
    outputs: np.ndarray | None = None
    log_likelihood = None if y is None else np.empty((n_draws, n_points))
    was_training = model.training
    model.eval()
    try:
        with seeded(seed, Purpose.HIDDEN_SPIKES):
            for first, n, weights in _draw_chunks(model, source, blocks, n_draws, memory):
                start = 0
                for spikes in _example_chunks(model, blocks, memory):
                    stop = start + spikes.shape[1]
                    readout = _readout(model, weights, spikes)
                    part = model.likelihood.predict(readout, _window(model)).numpy()
                    if outputs is None:
                        outputs = np.empty((n_draws, n_points, *part.shape[2:]), dtype=part.dtype)
                    outputs[first : first + n, start:stop] = part
                    if y is not None and log_likelihood is not None:
                        score = model.likelihood.log_prob(readout, y[start:stop], _window(model))
                        log_likelihood[first : first + n, start:stop] = score.numpy()
                    start = stop
    finally:
        model.train(was_training)
    scale = float(model.likelihood.noise_scale) if isinstance(model.likelihood, Regression) else None
    assert outputs is not None
    return Prediction(outputs, log_likelihood, scale)


def _window(model: SpikingGLM) -> Window:
    return Window(burn_in=model.burn_in)


def _readout(model: SpikingGLM, weights: Weights, spikes: Tensor) -> Tensor:
    dtype = next(iter(weights.values())).dtype
    readout = model.simulate(weights, spikes.to(dtype)).readouts[-1]
    # In double, so that a sure mistake costs what it should and not infinity.
    return model.counted(readout, _window(model)).double()


def _bytes_per_example(model: SpikingGLM, n_steps: int) -> int:
    """Return what one example of one draw takes at its widest layer: trace, current, u and s."""
    widest = max(layer.fan_in + 4 * layer.fan_out for layer in model.layers)
    total = sum(2 * layer.fan_out for layer in model.layers)
    return 4 * n_steps * (widest + total)


def _draw_chunks(
    model: SpikingGLM,
    source: Callable[[int, int], Weights],
    blocks: list[Tensor],
    n_draws: int,
    memory: int,
) -> Iterator[tuple[int, int, Weights]]:
    largest = max(block.shape[1] for block in blocks)
    need = _bytes_per_example(model, blocks[0].shape[0]) * max(largest, 1)
    size = max(1, min(n_draws, memory // max(need, 1)))
    for first in range(0, n_draws, size):
        n = min(size, n_draws - first)
        yield first, n, source(first, n)


def _example_chunks(model: SpikingGLM, blocks: list[Tensor], memory: int) -> Iterator[Tensor]:
    size = max(1, memory // _bytes_per_example(model, blocks[0].shape[0]))
    for block in blocks:
        yield from block.split(size, dim=1)
