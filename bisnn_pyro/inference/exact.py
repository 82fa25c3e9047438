"""The exact posterior of a tiny network, by enumeration: ground truth for estimators."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bisnn_pyro.errors import ModelError
from bisnn_pyro.models import SpikingGLM, Window

MAX_SYNAPSES = 20


@dataclass(frozen=True)
class ExactPosterior:
    """All binary networks and their posterior.

    Attributes:
        weights: ``[2^n, O, I]`` for each site.
        log_prob: normalised log-posterior of each network, ``[2^n]``.
        log_evidence: log p(y), of the last read-out's likelihood.
    """

    weights: dict[str, Tensor]
    log_prob: Tensor
    log_evidence: Tensor

    def mean(self) -> dict[str, Tensor]:
        """Return the posterior mean of each synapse."""
        p = self.log_prob.exp()
        return {name: torch.einsum("k,koi->oi", p.to(w.dtype), w) for name, w in self.weights.items()}


@torch.no_grad()
def exact_posterior(model: SpikingGLM, spikes: Tensor, y: Tensor, *, chunk: int = 4096) -> ExactPosterior:
    """Enumerate every binary network of ``model`` (deterministic neurons, at most 20 synapses).

    The likelihood is that of the last read-out; local losses of earlier layers do not belong to a
    posterior, so compare with end-to-end credit.

    Args:
        model: the network; its priors must be :class:`SignBernoulli`.
        spikes: inputs ``[T, B, I]``.
        y: targets ``[B]``.
        chunk: networks simulated at once.

    Raises:
        ModelError: if there are too many synapses, or one is not binary, or neurons are stochastic.

    Example:
        >>> from bisnn_pyro.models import BernoulliRate
        >>> model = SpikingGLM(2, [3], BernoulliRate(), credit="end-to-end")
        >>> exact = exact_posterior(model, torch.ones(10, 4, 2), torch.tensor([0, 1, 1, 1]))
        >>> exact.weights["layers.0.weight"].shape, round(float(exact.log_prob.exp().sum()), 6)
        (torch.Size([64, 3, 2]), 1.0)
    """
    modules = [*model.layers, *([] if model.readout is None else [model.readout])]
    shapes = model.weight_shapes
    n = sum(o * i for o, i in shapes.values())
    if n > MAX_SYNAPSES:
        raise ModelError(f"{n} synapses are too many to enumerate; at most {MAX_SYNAPSES}")
    if model.neuron.stochastic:
        raise ModelError(
            "with stochastic neurons the output is not a function of the weights; use threshold neurons"
        )
    if not all(m.prior.binary for m in modules):
        raise ModelError("only binary synapses can be enumerated: use BinaryPrior")
    codes = torch.arange(2**n)
    signs = ((codes[:, None] >> torch.arange(n)) & 1).to(spikes.dtype) * 2 - 1
    weights, start = {}, 0
    for name, (o, i) in shapes.items():
        weights[name] = signs[:, start : start + o * i].reshape(-1, o, i)
        start += o * i
    window = Window(burn_in=model.burn_in)
    log_joint = torch.zeros(2**n, dtype=torch.float64)
    for name, prior in model.priors().items():
        log_joint += prior.log_prob(weights[name]).double()
    for index in codes.split(chunk):
        run = model.simulate({name: w[index] for name, w in weights.items()}, spikes)
        readout = model.counted(run.readouts[-1], window)
        log_joint[index] += model.likelihood.log_prob(readout, y, window).sum(-1).double()
    log_evidence = log_joint.logsumexp(0)
    return ExactPosterior(weights, log_joint - log_evidence, log_evidence)
