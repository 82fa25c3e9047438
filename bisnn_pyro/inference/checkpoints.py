"""A committee of the networks that one straight-through training passes through."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bisnn_pyro.errors import ModelError
from bisnn_pyro.inference.history import Row
from bisnn_pyro.inference.latent_posteriors import LatentPosterior, checked_share


class AutoCheckpoints(LatentPosterior):
    """Networks at n evenly spaced points of one straight-through training, the last of them the trained one.

    Member i of a committee is network i mod n, the newest first, whatever the seed: ``predict.draws`` should
    be a multiple of n.  Snapshot ensembles (arXiv 1704.00109) without their cyclic learning rate.

    ``posterior()`` and ``natural_parameters()`` are of the *marginals*, a Bernoulli with the networks' mean
    for each synapse; draws of Pyro in ``eval()`` are independent draws from them.  They forget which signs
    belong together, which ``sample_posterior`` keeps.

    .. warning::
        Only signs are kept: all members have the normalisation gains, biases and noise scales of the end of
        training, so early networks are worse than they were.  A learning rate that falls to zero makes the
        late ones alike.  One notices either by members' scores.  ``train.restore_best`` and
        ``train.patience`` do not go with it.

    Args:
        model: a Pyro model whose latent sites are all :class:`SignBernoulli`.
        snapshots: n, the number of networks.
        share: last share of training over which they are spread, in (0, 1].
        clip: see :class:`AutoStraightThrough`.
        init_scale: see :class:`AutoStraightThrough`.

    Raises:
        ModelError: if a setting is out of its range.

    Example:
        >>> from bisnn_pyro.models import BernoulliRate, SpikingGLM
        >>> guide = AutoCheckpoints(SpikingGLM(2, [3], BernoulliRate()), snapshots=2, share=0.5)
        >>> guide.initialize(torch.zeros(5, 1, 2), torch.zeros(1))
        >>> latent = guide.parameter("latent", "layers.0.weight")
        >>> for progress, value in ((0.5, -1.0), (0.9, 1.0)):
        ...     _ = latent.data.fill_(value)
        ...     _ = guide.anneal(progress)
        >>> guide.sample_posterior(4, seed=0)["layers.0.weight"][:, 0, 0]
        tensor([ 1., -1.,  1., -1.])
    """

    collects = True
    taken: Tensor

    def __init__(
        self,
        model: Any,
        *,
        snapshots: int = 10,
        share: float = 0.5,
        clip: float | None = None,
        init_scale: float = 0.1,
    ) -> None:
        super().__init__(model, clip=clip, init_scale=init_scale)
        if not 1 <= snapshots <= 1000:
            raise ModelError(f"guide snapshots must lie in 1 to 1000, not {snapshots}")
        self.snapshots, self.share = snapshots, checked_share(share)
        self.register_buffer("taken", torch.zeros((), dtype=torch.long))

    def _register(self, role: str, name: str, value: Tensor) -> None:
        super()._register(role, name, value)
        signs = torch.ones((self.snapshots - 1, *value.shape), dtype=torch.int8, device=value.device)
        self._register_statistic("earlier", name, signs)

    def anneal(self, progress: float) -> Row:
        """Take a snapshot if one is due."""
        last = self.snapshots - 1  # the trained network itself, at progress 1
        while int(self.taken) < last and progress >= 1 - self.share * (1 - int(self.taken) / last):
            for name in self._known_sites():
                self.parameter("earlier", name)[self.taken] = self._value(name).detach().to(torch.int8)
            self.taken += 1
        return {}

    @torch.no_grad()
    def networks(self) -> dict[str, Tensor]:
        """Return the networks, newest first, ``[n, O, I]`` for each site; fewer than n before the end."""
        found = {}
        for name in self._known_sites():
            newest = self._value(name)
            earlier = self.parameter("earlier", name)[: int(self.taken)].flip(0)
            found[name] = torch.cat((newest[None], earlier.to(newest.dtype)))
        return found

    def _natural(self, name: str) -> Tensor:
        return torch.atanh(self.networks()[name].mean(0))

    @torch.no_grad()
    def _member(self, index: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the network in turn, whatever the seed."""
        chosen = index % (int(self.taken) + 1)
        return {name: w[chosen] for name, w in self.networks().items()}
