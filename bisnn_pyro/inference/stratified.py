"""A committee whose members are spread evenly over the posterior of each synapse: a Latin hypercube."""

from __future__ import annotations

import torch
from torch import Tensor

#: How the members of a committee can be drawn.
SCHEMES = ("independent", "latin-hypercube")


def latin_uniforms(
    shape: torch.Size, member: int, n_members: int, generator: torch.Generator, dtype: torch.dtype
) -> Tensor:
    r"""Return one member's uniform number for each synapse, strictly between 0 and 1.

    With K the least prime that is not below the number of members, each synapse has a random order of K
    equal strata, :math:`(a k + b) \bmod K` for member k (a in 1..K-1, b in 0..K-1), and a place U within
    them: :math:`u_k = (((a k + b) \bmod K) + U) / K`.  Each u is uniform and independent
    between synapses, so that a member is an exact draw; two members never share a stratum, so that they are
    negatively correlated at each synapse (McKay, Beckman and Conover 1979, in a linear order).

    *Assumes* that a vote is about additive in the synapses' draws; what it owes to several synapses at once
    varies as it does for independent members.  One notices as a vote that varies over seeds as before.

    Args:
        shape: of the result.
        member: k, from 0.
        n_members: size of the committee.
        generator: the committee's, in the same state for each member.
        dtype: of the result.

    Example:
        >>> def member(k):
        ...     source = torch.Generator().manual_seed(0)
        ...     return latin_uniforms(torch.Size([4]), k, 5, source, torch.float32)
        >>> strata = torch.stack([(5 * member(k)).floor() for k in range(5)])
        >>> strata.sort(0).values[:, 0]  # one member in each
        tensor([0., 1., 2., 3., 4.])
    """
    k = _prime_from(n_members)
    # One number for a and b: all K (K - 1) pairs are equally likely.
    pair = torch.randint(k * (k - 1), shape, generator=generator)
    within = torch.rand(shape, generator=generator, dtype=dtype)
    stratum = (pair // k + 1).mul_(member).add_(pair % k).remainder_(k)
    largest = 1 - torch.finfo(dtype).eps / 2
    return within.add_(stratum).div_(k).clamp_(torch.finfo(dtype).tiny, largest)


def _prime_from(n: int) -> int:
    """Return the least prime that is not below ``n``."""
    k = max(n, 2)
    while any(k % d == 0 for d in range(2, int(k**0.5) + 1)):
        k += 1
    return k
