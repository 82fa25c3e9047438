"""The marginals of a mixture of Bernoulli posteriors."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import logsigmoid


def marginal_natural(naturals: Tensor) -> Tensor:
    r"""Return the natural parameters of the marginals of an equal mixture.

    :math:`\tfrac12\operatorname{logit}\tfrac1M\sum_m\sigma(2\lambda_m)`, computed in logarithms, so that
    saturated and infinite parameters keep their meaning.

    Args:
        naturals: of each component, ``[M, O, I]``.

    Example:
        >>> import math, torch
        >>> round(math.tanh(marginal_natural(torch.tensor([0.5, -1.0])).item()), 4)  # the mean of tanh
        -0.1497
    """
    return 0.5 * (logsigmoid(2 * naturals).logsumexp(0) - logsigmoid(-2 * naturals).logsumexp(0))
