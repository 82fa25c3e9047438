"""Early decisions: what a committee says before the sequence is over."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from bisnn_pyro.errors import ModelError
from bisnn_pyro.inference.paths import Part
from bisnn_pyro.models import SpikingGLM, Window


class EarlyVotes:
    r"""Collects votes after the first steps of a sequence from one simulation of the whole.

    The vote after t steps is the likelihood's own prediction from the read-out up to then; likelihoods that
    average the read-out take the mean over the counted steps :math:`t_0 \le s < t`.  At the last step it is
    the prediction itself, bit for bit.

    *Assumes* that what a network does at a step depends on no later input, as with traces and resets.  The
    statistics of a normalised network are those of its reference batch, training inputs taken whole: numbers
    that stand beforehand, in which no input of the example takes part.  A network of one's own that looks
    ahead (that normalises each example over time, say) would make early votes too good.

    Args:
        model: the network.
        steps: numbers of elapsed steps t, ascending, each beyond the burn-in :math:`t_0`.
        n_draws: number of members S.
        n_examples: number of examples N.
        members: keep each member's vote; otherwise their mean alone, which takes an S-th of the memory.

    Raises:
        ModelError: if there are no steps, or they are not ascending or not beyond the burn-in.
    """

    def __init__(
        self, model: SpikingGLM, steps: Sequence[int], n_draws: int, n_examples: int, *, members: bool = True
    ) -> None:
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
        """Take the read-outs of some members and examples; for ``watch`` of :func:`predict`.

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
            raise ModelError("the members' early votes were not kept; collect them with members = True")
        return self._votes

    @property
    def mean(self) -> np.ndarray:
        """The committee's vote ``[K, N, C]``, or ``[K, N]``."""
        if self._votes is None:
            raise ModelError("nothing was predicted yet: give this to predict(..., watch=...)")
        return self._votes.mean(axis=1) if self.members else self._votes / self.n_draws
