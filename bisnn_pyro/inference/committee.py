"""Prediction by a committee of sampled networks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from bisnn_pyro.compute import current_backend
from bisnn_pyro.errors import ModelError
from bisnn_pyro.inference.inputs import Encode, EncodedBlocks, Inputs, count_examples, groups
from bisnn_pyro.inference.seeding import Purpose, seeded
from bisnn_pyro.inference.synaptic_guide import SynapticGuide
from bisnn_pyro.memory import check_memory
from bisnn_pyro.models import ConvSynapses, RecurrentSynapses, Regression, SimulationPlan, SpikingGLM, Window
from bisnn_pyro.models.packed import PackedInput, PackedNetwork, why_not_packed

Weights = dict[str, Tensor]
Source = Callable[[int, int], Weights]
"""Weights ``[n, O, I]`` of members ``first .. first + n - 1``."""

PATHS = ("auto", "packed", "dense")


@dataclass(frozen=True)
class Prediction:
    """The predictions of S networks for N points.

    Attributes:
        draws: class probabilities ``[S, N, C]``, or means ``[S, N]`` of a regression.
        log_likelihood: ``[S, N]``, each member's log-likelihood of the targets (the observed site's own,
            without the data set's scale), if they were given.
        noise_scale: standard deviation of a regression's noise, in units of the target.
        path: how the networks were run, ``packed`` or ``dense``; ``moments`` where no network was run.
        out_of_range: share of the raw input values that lie outside the range of the training set.
    """

    draws: np.ndarray
    log_likelihood: np.ndarray | None = None
    noise_scale: float | None = None
    path: str = "dense"
    out_of_range: float = 0.0

    def __repr__(self) -> str:
        """Sizes, and the first points' vote: a committee's draws are too many to print."""
        members, points = self.draws.shape[:2]
        of = "means" if self.draws.ndim == 2 else f"probabilities of {self.draws.shape[2]} classes"
        first = np.array2string(self.mean[:3], precision=3, suppress_small=True)
        rest = "" if points <= 3 else f"\n ... of {points} points"
        how = self.path
        how += f"; {self.out_of_range:.2%} of the inputs out of range" if self.out_of_range else ""
        return f"Prediction({members} members, {points} points, {of}; {how})\nmean:\n{first}{rest}"

    @property
    def mean(self) -> np.ndarray:
        """The committee's vote: probabilities ``[N, C]`` or means ``[N]``, averaged over members."""
        return self.draws.astype(np.float64).mean(axis=0)


def encode_all(encode: Encode, x: Inputs, seed: int) -> EncodedBlocks:
    """Encode ``x`` ``[N, ...]`` block by block; a sequence of ``[T, B, I]``.

    The spikes of a point depend on ``seed`` and its own values alone.  Blocks are read and encoded when they
    are requested, and kept if all of them together take little memory, see
    :class:`~bisnn_pyro.inference.inputs.EncodedBlocks`.
    """
    return EncodedBlocks(encode, x, seed)


def point_draws(weights: Mapping[str, Tensor]) -> Source:
    """Return a source of draws that always gives this one network (mode, mean)."""
    return lambda first, n: {name: w.expand(n, *w.shape) for name, w in weights.items()}


def posterior_draws(
    guide: SynapticGuide, seed: int, *, scheme: str = "independent", of: int | None = None
) -> Source:
    """Return a source of posterior draws: member i is the same however they are chunked.

    Args:
        guide: the posterior.
        seed: of the committee.
        scheme: see :meth:`SynapticGuide.sample_posterior`.
        of: size of the committee, which a Latin hypercube needs.

    Raises:
        ModelError: for a Latin hypercube without its size.
    """
    if scheme == "independent" or not guide.stratifies:
        return lambda first, n: guide.sample_posterior(n, seed=seed, first=first)
    if of is None:
        raise ModelError(f"the scheme {scheme!r} needs the size of the committee, of=...")
    return lambda first, n: guide.sample_posterior(n, seed=seed, first=first, scheme=scheme, of=of)


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
    """Predict encoded inputs with ``n_draws`` networks.

    Binary networks of threshold neurons run in packed arithmetic, others in floating point; the two
    agree except for spikes whose potential rounds to the other side of the threshold.  Both take draws
    and examples in chunks, so working memory does not grow with their number (the result itself is
    ``[S, N, C]``).

    Args:
        model: the network; put into evaluation for the call.
        source: gives the weights of members ``first .. first + n - 1``.
        blocks: encoded inputs ``[T, B, I]`` of consecutive examples, from :func:`encode_all`.
        n_draws: number of members S.
        y: targets ``[N]``, for ``log_likelihood``.
        path: ``packed``, ``dense``, or ``auto`` to choose; the result names the one that ran.
        memory: working memory of the dense path to aim at, in bytes.
        seed: of the hidden spikes of stochastic neurons; those of a point depend on it, on the member and on
            the point's own input alone.
        watch: called with the read-outs over time, chunk by chunk, to compute anything else from them.

    Raises:
        ModelError: if there are no members, or ``packed`` was requested and cannot run.

    Example:
        >>> from bisnn_pyro.inference import AutoRelaxedSign
        >>> from bisnn_pyro.models import CategoricalRate
        >>> model = SpikingGLM(2, [5], CategoricalRate(3))
        >>> guide = AutoRelaxedSign(model)
        >>> spikes = torch.ones(10, 4, 2)  # [T, B, I]
        >>> guide.initialize(spikes, torch.zeros(4).long())
        >>> prediction = predict(model, posterior_draws(guide, seed=0), [spikes], n_draws=20)
        >>> prediction.draws.shape, prediction.mean.shape  # 20 members, 4 points, 3 classes
        ((20, 4, 3), (4, 3))
    """
    if n_draws < 1:
        raise ModelError(f"a committee needs at least one member, not {n_draws}")
    n_points = count_examples(blocks)
    votes = 2.0 * n_draws * n_points * max(model.likelihood.n_outputs, 1) * 8
    check_memory({f"the votes of {n_draws} members on {n_points} points": votes}, "ask for fewer", ModelError)
    window = Window(burn_in=model.burn_in)
    outputs: np.ndarray | None = None
    log_likelihood = None if y is None else np.empty((n_draws, n_points))
    was_training = model.training
    model.eval()
    try:
        path = choose_path(path, model, source)
        with seeded(seed, Purpose.HIDDEN_SPIKES):
            for part in _parts(model, source, blocks, n_draws, path, memory, seed):
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
    model: SpikingGLM,
    source: Source,
    blocks: Sequence[Tensor],
    n_draws: int,
    path: str,
    memory: int,
    seed: int,
) -> Iterator[Part]:
    """Run all members on one group of blocks at a time, so that each example is read once."""
    for first, group in groups(blocks):
        if path == "packed":
            parts = packed_parts(model, source, group, n_draws)
        else:
            parts = dense_parts(model, source, group, n_draws, memory, seed)
        for part in parts:
            yield part._replace(point=first + part.point)


class Part(NamedTuple):
    """Read-outs ``[n, B, T', C]`` of members and points that start at these indices."""

    member: int
    point: int
    readout: Tensor


def dense_parts(
    model: SpikingGLM, source: Source, blocks: Sequence[Tensor], n_draws: int, memory: int, seed: int = 0
) -> Iterator[Part]:
    """Run draws side by side in floating point; any neuron, any weights, any device.

    Chunked over draws and examples, and over time where one example alone is too much.
    """
    total = blocks[0].shape[0]
    need = bytes_per_example(model, total)
    fitting, most = memory // need, max(block.shape[1] for block in blocks)
    n_reference = model.reference.shape[-2] if model.normalise and model.reference is not None else 0
    # A large or noisy reference batch runs once per draw, a small one with each chunk.
    ahead = n_reference > 0 and (
        model.neuron.stochastic or fitting < n_reference + min(most, n_reference // 4)
    )
    extra = 0 if ahead else n_reference
    # A normalised network's statistics are those of the whole sequence.
    n_steps = total if model.normalise else max(1, min(total, total * memory // need))
    chunked = n_steps < total
    n_examples = max(1, min(most, fitting - extra))
    n_members = max(1, min(n_draws, memory // (need * (n_examples + extra))))
    noises = [model.point_noise(block, seed) for block in blocks]
    for first in range(0, n_draws, n_members):
        weights = source(first, min(n_members, n_draws - first))
        some = next(iter(weights.values()))
        device, dtype = some.device, some.dtype
        members = range(first, first + some.shape[0])
        of_members = noises[0] and noises[0].part(slice(None), members)
        moments = model.reference_moments(weights, n_examples, of_members) if ahead else None
        plan = SimulationPlan(record=False, carry=chunked, moments=moments)
        point = 0
        for block, noise in zip(blocks, noises, strict=True):
            for start in range(0, block.shape[1], n_examples):
                some_points = slice(start, start + n_examples)
                readouts, state = [], None
                for step in range(0, total, n_steps):
                    part = block[step : step + n_steps, some_points].to(device=device, dtype=dtype)
                    own = noise and noise.part(some_points, members, step)
                    run = model.simulate(weights, part, state, replace(plan, noise=own))
                    readouts.append(run.readouts[-1])
                    state = run.state
                yield Part(first, point + start, _counted(model, torch.cat(readouts, dim=-3)))
            point += block.shape[1]


def packed_parts(model: SpikingGLM, source: Source, blocks: Sequence[Tensor], n_draws: int) -> Iterator[Part]:
    """Run draws in packed arithmetic, one per thread, on as many threads as torch has."""
    for block in blocks:
        model.check_inputs(block)
    network = PackedNetwork(model)
    inputs = [PackedInput.of(block) for block in blocks]
    n_threads = torch.get_num_threads()

    def prepare(member: int) -> tuple[Weights, Any]:
        weights = {name: w[0] for name, w in source(member, 1).items()}
        return weights, network.prepare(weights)

    with ThreadPoolExecutor(n_threads) as pool:
        for first in range(0, n_draws, n_threads):
            members = list(pool.map(prepare, range(first, min(first + n_threads, n_draws))))
            point = 0
            for x, block in zip(inputs, blocks, strict=True):
                run = partial(_packed_readout, network, x)
                readouts = torch.stack(list(pool.map(run, members)))
                yield Part(first, point, _counted(model, readouts))
                point += block.shape[1]


def _packed_readout(network: PackedNetwork, x: PackedInput, member: tuple[Weights, Any]) -> Tensor:
    weights, layers = member
    return network.readout(layers, weights, x)


def choose_path(path: str, model: SpikingGLM, source: Source) -> str:
    """Return ``packed`` or ``dense``.

    Raises:
        ModelError: if ``packed`` was requested and cannot run; the message gives the reason.
    """
    if path not in PATHS:
        raise ModelError(f"unknown prediction path {path!r}; use one of {', '.join(PATHS)}")
    if path == "dense":
        return path
    reason = why_not_packed(model, source(0, 1))
    if current_backend() == "torch":
        reason = "the kernel backend is 'torch', and packed arithmetic is numba's"
    if path == "packed" and reason is not None:
        raise ModelError(f"packed prediction cannot run here: {reason}; use the path 'dense' or 'auto'")
    return "dense" if reason is not None else "packed"


def _counted(model: SpikingGLM, readout: Tensor) -> Tensor:
    # In double precision, so that a confident mistake has a large cost and not an infinite one.
    return model.counted(readout, Window(burn_in=model.burn_in)).double()


def bytes_per_example(model: SpikingGLM, n_steps: int) -> int:
    """Return the bytes of one example of one draw: trace, current, u and s of the widest layer, and spikes.

    A convolution also keeps a reordered copy of its inputs, a pooling layer the position of each maximum,
    and lateral synapses the trace of their own layer's spikes.
    """
    at_once, kept = [], 0
    for layer, pool in zip(model.synapses, model.pools, strict=True):
        i, o = int(layer.n_inputs), int(layer.n_units)
        extra = i if isinstance(layer, ConvSynapses) else o if isinstance(layer, RecurrentSynapses) else 0
        pooled = 0 if pool is None else math.prod(pool.pooled)
        at_once.append(i + 4 * o + extra + 2 * pooled)
        kept += 2 * o + pooled
    return 4 * n_steps * (max(at_once) + kept)


class EarlyVotes:
    r"""Collects the votes after the first t steps from one simulation of the whole sequence.

    The vote after t steps is the likelihood's own prediction from the read-out up to then; likelihoods that
    average the read-out take the mean over the counted steps :math:`t_0 \le s < t`.  At the last step it is
    the prediction itself, bit for bit.

    *Assumes* that a network's state at a step does not depend on later inputs, as with traces and resets.
    The statistics of a normalised network are those of its reference batch of whole training inputs, fixed
    in advance and independent of the example.  A custom network that looks ahead (for example one that
    normalises each example over time) would make early votes too good.

    Args:
        model: the network.
        steps: numbers of elapsed steps t, ascending, each beyond the burn-in :math:`t_0`.
        n_draws: number of members S.
        n_examples: number of examples N.
        members: keep each member's vote; otherwise only their mean, which takes 1/S of the memory.

    Raises:
        ModelError: if there are no steps, or they are not ascending or not beyond the burn-in.
    """

    def __init__(
        self, model: SpikingGLM, steps: Sequence[int], n_draws: int, n_examples: int, *, members: bool = True
    ) -> None:
        whole = isinstance(steps, Sequence | np.ndarray) and all(
            isinstance(step, Integral) and not isinstance(step, bool) for step in steps
        )
        if not whole:
            raise ModelError(f"early decisions at the steps {steps!r}: give a list of whole numbers")
        ascending = all(a < b for a, b in pairwise([model.burn_in, *steps]))
        if not len(steps) or not ascending:
            raise ModelError(
                f"early decisions at the steps {list(steps)}: give at least one, ascending, and beyond the "
                f"burn-in of {model.burn_in}"
            )
        self.model, self.steps, self.members = model, tuple(steps), members
        self.n_draws, self.n_examples = n_draws, n_examples
        self._votes: np.ndarray | None = None

    def __call__(self, part: Part) -> None:
        """Record the read-outs of some members and examples; the ``watch`` of :func:`predict`.

        Raises:
            ModelError: if the sequence ends before the last of the steps.
        """
        burn_in, likelihood = self.model.burn_in, self.model.likelihood
        n_steps = part.readout.shape[-2] + burn_in
        if self.steps[-1] > n_steps:
            raise ModelError(f"an early decision at step {self.steps[-1]}: the input has {n_steps} steps")
        for k, step in enumerate(self.steps):
            so_far = part.readout[..., : step - burn_in, :]
            vote = likelihood.predict(so_far, Window(burn_in=burn_in)).cpu().numpy()
            self._take(k, part, vote)

    def _take(self, k: int, part: Part, vote: np.ndarray) -> None:
        n_members, n_examples, *classes = vote.shape
        if self._votes is None:
            members = (self.n_draws,) if self.members else ()
            self._votes = np.zeros((len(self.steps), *members, self.n_examples, *classes))
        points = slice(part.point, part.point + n_examples)
        if self.members:
            self._votes[k, part.member : part.member + n_members, points] = vote
            return
        for member in vote:  # one by one, as numpy adds them up over a first axis: the same bits
            self._votes[k, points] += member

    @property
    def draws(self) -> np.ndarray:
        """Each member's probabilities ``[K, S, N, C]`` at K steps, or means ``[K, S, N]`` of a regression."""
        if self._votes is None or not self.members:
            raise ModelError("the members' early votes were not kept; create EarlyVotes with members=True")
        return self._votes

    @property
    def mean(self) -> np.ndarray:
        """The committee's vote ``[K, N, C]``, or ``[K, N]``."""
        if self._votes is None:
            raise ModelError("nothing was predicted yet: pass this object to predict(..., watch=...)")
        return self._votes.mean(axis=1) if self.members else self._votes / self.n_draws
