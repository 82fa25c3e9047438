"""The votes of several posteriors as those of one committee."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bisnn_pyro.inference.committee import EarlyVotes, Part, Prediction


def interleaved(votes: Sequence[Prediction]) -> Prediction:
    """Return the votes of all components' members: member i is of component ``i mod M``.

    The noise of a regression is the root mean square over members, so that the variance of the vote is that
    of the mixture; log-likelihoods are each member's own.

    Args:
        votes: of each component, the first ones with one member more where they do not divide evenly.
    """
    if len(votes) == 1:
        return votes[0]
    first, counts = votes[0], [len(vote.draws) for vote in votes]
    draws = np.empty((sum(counts), *first.draws.shape[1:]))
    loglik = None if first.log_likelihood is None else np.empty(draws.shape[:2])
    for m, vote in enumerate(votes):
        draws[m :: len(votes)] = vote.draws
        if loglik is not None:
            loglik[m :: len(votes)] = vote.log_likelihood
    noise = None
    if first.noise_scale is not None:
        noise = float(
            np.sqrt(np.average([float(vote.noise_scale or 0) ** 2 for vote in votes], weights=counts))
        )
    return Prediction(draws, loglik, noise, first.path)


class PlacedVotes(EarlyVotes):
    """Early votes of one component, passed on to those of the mixture; see :func:`interleaved`."""

    def __init__(self, whole: EarlyVotes, component: int, n_components: int) -> None:
        self.whole, self.component, self.n_components = whole, component, n_components

    def __call__(self, part: Part) -> None:
        """Record each member in its place."""
        for k in range(len(part.readout)):
            place = (part.member + k) * self.n_components + self.component
            self.whole(Part(place, part.point, part.readout[k : k + 1]))
