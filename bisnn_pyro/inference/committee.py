"""Prediction by a committee of sampled networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bisnn_pyro.errors import ModelError
from bisnn_pyro.inference.guides import SynapticGuide
from bisnn_pyro.inference.inputs import Encode, EncodedBlocks, Inputs, count_examples, groups
from bisnn_pyro.inference.paths import Part, Source, choose_path, dense_parts, packed_parts
from bisnn_pyro.inference.seeding import Purpose, seeded
from bisnn_pyro.models import SpikingGLM, Window
from bisnn_pyro.models.likelihoods import Regression


@dataclass(frozen=True)
class Prediction:
    """What S networks say about N points.

    Attributes:
        draws: class probabilities ``[S, N, C]``, or means ``[S, N]`` of a regression.
        log_likelihood: ``[S, N]``, each member's log-likelihood of the targets (the observed site's own,
            without the data set's scale), if they were given.
        noise_scale: standard deviation of a regression's noise, in units of the target.
        path: how the networks were run, ``packed`` or ``dense``; ``moments`` if none was.
    """

    draws: np.ndarray
    log_likelihood: np.ndarray | None = None
    noise_scale: float | None = None
    path: str = "dense"

    def __repr__(self) -> str:
        """Sizes, and the first points' vote: a committee's draws are too many to print."""
        members, points = self.draws.shape[:2]
        of = "means" if self.draws.ndim == 2 else f"probabilities of {self.draws.shape[2]} classes"
        first = np.array2string(self.mean[:3], precision=3, suppress_small=True)
        rest = "" if points <= 3 else f"\n ... of {points} points"
        return f"Prediction({members} members, {points} points, {of}; {self.path})\nmean:\n{first}{rest}"

    @property
    def mean(self) -> np.ndarray:
        """The committee's vote: probabilities ``[N, C]`` or means ``[N]``, averaged over members."""
        return self.draws.astype(np.float64).mean(axis=0)


def encode_all(encode: Encode, x: Inputs, seed: int) -> EncodedBlocks:
    """Encode ``x`` ``[N, ...]`` block by block, each under its own seed; a sequence of ``[T, B, I]``.

    Blocks are read and encoded when they are asked for, and kept where all of them together take little
    memory, see :class:`~bisnn_pyro.inference.inputs.EncodedBlocks`.
    """
    return EncodedBlocks(encode, x, seed)


def point_draws(weights: Mapping[str, Tensor]) -> Source:
    """Return a source of draws that always gives this one network (mode, mean)."""
    return lambda first, n: {name: w.expand(n, *w.shape) for name, w in weights.items()}


def posterior_draws(guide: SynapticGuide, seed: int) -> Source:
    """Return a source of posterior draws: member i is the same however they are chunked."""
    return lambda first, n: guide.sample_posterior(n, seed=seed, first=first)


@torch.no_grad()
def predict(
    model: SpikingGLM,
    source: Source,
    blocks: Sequence[Tensor],
    *,
    n_draws: int,
    y: Tensor | None = None,
    path: str = "auto",
    memory: int = 192 * 2**20,
    seed: int = 0,
    watch: Callable[[Part], None] | None = None,
) -> Prediction:
    """Let ``n_draws`` networks vote on encoded inputs.

    Binary networks of threshold neurons run in packed arithmetic, others in floating point; the two
    agree but for spikes whose potential rounds to the other side of the threshold.  Either way draws
    and examples are taken in chunks, and working memory does not grow with their number (the result
    itself is ``[S, N, C]``).

    Args:
        model: the network; put into evaluation for the call.
        source: gives the weights of members ``first .. first + n - 1``.
        blocks: encoded inputs ``[T, B, I]`` of consecutive examples, from :func:`encode_all`.
        n_draws: number of members S.
        y: targets ``[N]``, for ``log_likelihood``.
        path: ``packed``, ``dense``, or ``auto`` for whichever suits; what ran is in the result.
        memory: working memory of the dense path to aim at, in bytes.
        seed: of the hidden spikes of stochastic neurons (which then depend on the chunking as well).
        watch: called with all read-outs over time, chunk by chunk: for whatever else is wanted of them.

    Raises:
        ModelError: if there are no members, or ``packed`` was asked for and cannot run.
    """
    if n_draws < 1:
        raise ModelError(f"a committee needs at least one member, not {n_draws}")
    n_points = count_examples(blocks)
    window = Window(burn_in=model.burn_in)
    outputs: np.ndarray | None = None
    log_likelihood = None if y is None else np.empty((n_draws, n_points))
    was_training = model.training
    model.eval()
    try:
        path = choose_path(path, model, source)
        with seeded(seed, Purpose.HIDDEN_SPIKES):
            for part in _parts(model, source, blocks, n_draws, path, memory):
                member, point, readout = part
                vote = model.likelihood.predict(readout, window).cpu().numpy()
                if outputs is None:
                    outputs = np.empty((n_draws, n_points, *vote.shape[2:]))
                members = slice(member, member + vote.shape[0])
                points = slice(point, point + vote.shape[1])
                outputs[members, points] = vote
                if y is not None and log_likelihood is not None:
                    score = model.likelihood.log_prob(readout, y[points].to(readout.device), window)
                    log_likelihood[members, points] = score.cpu().numpy()
                if watch is not None:
                    watch(part)
    finally:
        model.train(was_training)
    scale = float(model.likelihood.noise_scale) if isinstance(model.likelihood, Regression) else None
    assert outputs is not None
    return Prediction(outputs, log_likelihood, scale, path)


def _parts(
    model: SpikingGLM, source: Source, blocks: Sequence[Tensor], n_draws: int, path: str, memory: int
) -> Iterator[Part]:
    """Run all members on one group of blocks after the other: each example is read once."""
    for first, group in groups(blocks):
        if path == "packed":
            parts = packed_parts(model, source, group, n_draws)
        else:
            parts = dense_parts(model, source, group, n_draws, memory)
        for part in parts:
            yield part._replace(point=first + part.point)
