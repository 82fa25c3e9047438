r"""How far the KL has acted: the training time K in units of its own relaxation time.

The KL pulls natural parameters to the prior's at the rate
:math:`a_i\beta\operatorname{sech}^2\lambda_i` a step, with :math:`a_i` the step per unit of gradient.
Summed over steps and averaged over synapses this is K: a training of K well above 1 has forgotten its start
and may rest where the free energy is least; one of K well below 1 is an early-stopped sum of gradients,
whatever its KL weight.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bisnn_pyro.distributions import sech2
from bisnn_pyro.distributions.hyperbolic import sign_entropy
from bisnn_pyro.errors import ModelError
from bisnn_pyro.inference.rules import BayesianLearningRule
from bisnn_pyro.inference.schedules import Schedule
from bisnn_pyro.inference.synaptic_guide import SynapticGuide

Optimiser = torch.optim.Optimizer


def forgetting(optimiser: Optimiser, kl_weight: float) -> float | None:
    r"""Return the share of its start that a posterior forgets in one step, averaged over synapses.

    Args:
        optimiser: of the natural parameters: the Bayesian learning rule, Adam or SGD, after a step.
        kl_weight: :math:`\beta` of the loss that is differentiated (per example: beta / N).

    Returns:
        The mean of :math:`a_i\beta\operatorname{sech}^2\lambda_i`; ``None`` for another optimiser, or before
        a first step.

    Example:
        >>> natural = torch.zeros(3, requires_grad=True)
        >>> rule = BayesianLearningRule([natural], lr=0.5)
        >>> round(forgetting(rule, 0.1), 6)
        0.05
    """
    total, count = 0.0, 0
    for group in optimiser.param_groups:
        for natural in group["params"]:
            rate = _rate(optimiser, group, natural.detach())
            if rate is None:
                return None
            total, count = total + float(rate.sum(dtype=torch.float64)), count + rate.numel()
    return kl_weight * total / count


def _rate(optimiser: Optimiser, group: dict, natural: Tensor) -> Tensor | None:
    """Return the step per unit of gradient times the Fisher information, elementwise."""
    if isinstance(optimiser, BayesianLearningRule):
        return torch.full((natural.numel(),), group["lr"], dtype=torch.float64)
    if isinstance(optimiser, torch.optim.SGD):
        return group["lr"] * sech2(natural)
    state = {p.data_ptr(): s for p, s in optimiser.state.items()}.get(natural.data_ptr())
    if isinstance(optimiser, torch.optim.Adam) and state:
        second = state["exp_avg_sq"] / (1 - group["betas"][1] ** float(state["step"]))
        return group["lr"] * sech2(natural) / (second.sqrt() + group["eps"])
    return None


def check_pull(lr: float, scaled: Schedule, kl_weight: Schedule, share: float) -> None:
    r"""Refuse settings of the natural rule under which the KL overshoots the prior.

    A step takes :math:`\lambda` to :math:`(1-\eta\rho)\lambda+\eta\rho\lambda_0` before the data act: with
    :math:`\eta\rho\geq1` natural parameters jump over the prior's, and from 2 on to their limits.

    Args:
        lr: the rule's learning rate, before a schedule.
        scaled: the factor on it over training.
        kl_weight: :math:`\beta` over training.
        share: of the KL that one update has, per example: 1 / N, or less for windows.

    Raises:
        ModelError: if the largest :math:`\eta\rho` of the training is 1 or more.
    """
    progress = {k / 1000 for k in range(1000)} | {scaled.warmup, kl_weight.warmup}
    largest, beta = max((scaled(p) * kl_weight(p) * share, kl_weight(p)) for p in progress)
    if largest > 0 and not lr * largest < 1:
        raise ModelError(
            f"rule.lr = {lr:g} is too large for train.kl_weight = {beta:g}: the KL would move a natural "
            f"parameter by {lr * largest:.3g} times its distance to the prior in one update, which must be "
            f"less than 1; set rule.lr below {1 / largest:.3g}, or lower train.kl_weight"
        )


def entropy_bits(guide: SynapticGuide) -> float | None:
    """Return the entropy per binary synapse in bits, 0 (decided) to 1 (a fair coin); ``None`` if real."""
    if not guide.binary:
        return None
    if guide.point:
        return 0.0
    each = [sign_entropy(natural.double()).flatten() for natural in guide.natural_parameters().values()]
    return float(torch.cat(each).mean()) / math.log(2)


def kl_warnings(kl_time: float | None) -> list[str]:
    """Return the warning of a training in which the KL had no time to act, if there is one."""
    if kl_time is None or kl_time >= 1:
        return []
    return [
        f"K = {kl_time:.2g}: the KL has hardly acted, and the posterior is an early-stopped sum of gradients "
        "rather than a minimum of the free energy; train longer, or with a larger rule.lr or train.kl_weight"
    ]
