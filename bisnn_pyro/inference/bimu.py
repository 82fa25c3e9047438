"""BiMU: a learning rule with bounded memory, as a torch optimiser."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from bisnn_pyro.distributions import sech2
from bisnn_pyro.errors import ModelError
from bisnn_pyro.inference.rules import LARGEST_NATURAL, NaturalRule


class BiMU(NaturalRule):
    r"""BiMU, metaplastic binary synapses (Cottart et al., arXiv 2605.30198): learning that also forgets.

    .. math:: \lambda \leftarrow \lambda - \frac{\eta\,g + (\lambda-\lambda_0)\,h/N}
        {h + 2g\tanh\lambda + 2|g| + 1/\eta_{max}}, \qquad
        g = c_{lik}\,\frac{\partial L}{\partial\lambda}, \quad h = c_{kl}\operatorname{sech}^2\lambda

    L is the expected loss alone: the second term of the numerator is the pull to the prior, so the KL must
    not be in the loss as well (``kl_weight = 0``).  The paper's prior is fair, :math:`\lambda_0=0`.

    *What it minimises.*  The numerator is :math:`\eta c_{lik}` times the gradient of
    :math:`L + \beta\,\mathrm{KL}(q\,\|\,p)` with :math:`\beta = c_{kl} / (\eta\,c_{lik}\,N)`, so this rule
    rests where the Bayesian learning rule with that KL weight does.  Where g is small against h and
    :math:`\eta_{max}` is large it *is* that rule, of step size :math:`\eta\,c_{lik}/c_{kl}`.

    *How far it moves.*  The denominator is positive.  Towards zero, against what a synapse has learned, the
    data move it by less than :math:`\eta/2` whatever the gradient; outwards by at most
    :math:`\eta\,\eta_{max}|g|`.  With the exact gradient of a loss of slope G in the mean
    :math:`\tanh\lambda`, :math:`|\lambda|` never exceeds the larger of its start and
    :math:`\eta\,c_{lik} N |G| / c_{kl}` (for a fair prior): evidence that always points one way does not
    saturate it.

    *Units.*  The paper's L is the sum over the mini-batch, and N counts updates, so that about N times the
    batch's size examples are remembered.  This package's loss is a sum over the data set: multiply
    ``likelihood_multiplier`` by the batch's share of the data, B / N_data, as ``rule.name = "bimu"``
    does.  Released settings: ``lr`` 1 to 20, ``memory`` 1000 to 18000, ``likelihood_multiplier`` about 200,
    ``kl_multiplier`` 0.1 to 4, ``lr_max`` 0.02 to 0.08.

    .. warning::
        Noise drives synapses outwards.  Moves in are shorter than moves out, so that gradients
        :math:`\pm g`, which cancel, still move one by :math:`2\eta g^2\tanh\lambda / (D_+D_-)` on average (D:
        the two denominators), and the statements above about where the rule rests hold for exact
        gradients alone.  One notices natural parameters far beyond 10, and a committee no better than its
        mode; a smaller ``likelihood_multiplier`` (with a larger ``lr``), more particles or less memory help.

        It also assumes that gradients arrive at a steady rate: the pull to the prior acts at every
        update, however little the batch says.  A schedule that lowers ``lr`` raises beta with it, and the end
        of training then forgets what the rest has learned; one notices as a KL that falls while the loss
        rises.

    Args:
        params: natural parameters (lambda itself).
        lr: eta, the weight of the data in a move.
        memory: N, the number of updates after which what was learned has faded, >= 1.
        likelihood_multiplier: c_lik, in the numerator and in the denominator.
        kl_multiplier: c_kl; larger is slower and forgets faster.
        lr_max: eta_max, the largest inverse of the denominator; infinite for no bound.
        prior: natural parameter :math:`\lambda_0` of the prior.

    Raises:
        ModelError: if a setting is out of its range.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1.0,
        *,
        memory: float,
        likelihood_multiplier: float = 1.0,
        kl_multiplier: float = 1.0,
        lr_max: float = 1.0,
        prior: float = 0.0,
    ) -> None:
        positive = {
            "lr": lr,
            "likelihood_multiplier": likelihood_multiplier,
            "kl_multiplier": kl_multiplier,
            "lr_max": lr_max,
        }
        for name, value in positive.items():
            if not value > 0:
                raise ModelError(f"rule {name} must be positive, not {value}")
        if not memory >= 1:
            raise ModelError(f"rule memory is a number of updates, at least 1, not {memory}")
        if not abs(prior) < float("inf"):
            raise ModelError(f"rule prior must be a finite natural parameter, not {prior}")
        super().__init__(params, {**positive, "memory": memory, "prior": prior})

    def _move(self, natural: Tensor, group: dict[str, Any]) -> None:
        assert natural.grad is not None
        gradient = natural.grad * group["likelihood_multiplier"]
        curvature = sech2(natural).mul_(group["kl_multiplier"])
        # 2 g tanh(lambda) + 2|g|, written without the cancellation far out: 4|g| sigmoid(2 sign(g) lambda).
        stiffness = torch.sigmoid(2 * gradient.sign() * natural).mul_(gradient.abs()).mul_(4)
        stiffness.add_(curvature).add_(1 / group["lr_max"])
        pull = (natural - group["prior"]).mul_(curvature).div_(group["memory"])
        limit = LARGEST_NATURAL[natural.dtype]
        natural.sub_(pull.add_(gradient, alpha=group["lr"]).div_(stiffness)).clamp_(-limit, limit)
