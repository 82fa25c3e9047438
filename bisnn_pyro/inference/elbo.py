"""The free energy of a mean-field guide, with closed-form KLs only."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from pyro import poutine
from pyro.distributions import Delta, TorchDistribution
from pyro.distributions.util import is_validation_enabled, scale_and_mask
from pyro.infer import ELBO
from pyro.poutine import Trace
from pyro.poutine.util import prune_subsample_sites
from pyro.util import check_model_guide_match, check_site_shape
from torch import Tensor
from torch.distributions import Independent, kl_divergence

from bisnn_pyro.distributions import repeated_kl
from bisnn_pyro.errors import EstimatorError

Callee = Callable[..., Any]


class FreeEnergy(NamedTuple):
    """The loss and its parts, averaged over particles; all differentiable scalars.

    Attributes:
        loss: ``nll + kl_weight * kl``.
        nll: minus the log-probability of all observed sites, scaled to the data set.
        kl: KL of guide and model over all latent sites, scaled by the guide's sites.
        sites: what each site contributes to ``nll`` or ``kl``, detached.
        output: what the model returned (of the last particle, if they are looped).
    """

    loss: Tensor
    nll: Tensor
    kl: Tensor
    sites: dict[str, Tensor]
    output: Any


class MeanFieldELBO(ELBO):
    r"""Free energy :math:`E_q[-\log p(y\mid w)] + \beta\,\mathrm{KL}(q\,\|\,p)` with exact KLs.

    The same number as ``pyro.infer.TraceMeanField_ELBO`` (for ``kl_weight = 1``) where both hold, with
    three differences: log-probabilities are computed at observed sites only, a missing KL is an error
    instead of a silent Monte Carlo estimate of something else, and a guide site without a
    reparametrised sampler is refused even when validation is off.

    .. warning::
        Assumes a mean-field guide: no latent site of the model may depend on another that comes after
        it in the guide, and the guide has no auxiliary sites.  :class:`EstimatorError` reports violations,
        except that a dependence between latent sites of the *model* is not detected and biases the KL.

    Args:
        kl_weight: beta.  1 is Bayes; less is a cold posterior.
        num_particles: draws per loss.
        vectorize_particles: draw them in one vectorised call.
        max_plate_nesting: as in Pyro; only needed with vectorised particles, and guessed if not given.
        committee_weight: a of the PAC^m loss (Morningstar et al., arXiv 2010.09629): of an example's nll the
            share a is that of the particles' average probability, :math:`-\log\frac1K\sum_k p_k`, and the
            rest the particles' average nll.  0 is the free energy; more is no bound on the evidence.  It acts
            on the likelihood of the target alone, not on local losses.
        groups: of the vectorised particles, each ``num_particles / groups`` see the same examples; only
            needed with ``committee_weight``.

    Example:
        >>> from bisnn_pyro.inference import AutoRelaxedSign
        >>> from bisnn_pyro.models import BernoulliRate, SpikingGLM
        >>> model = SpikingGLM(2, [3], BernoulliRate())
        >>> guide = AutoRelaxedSign(model)
        >>> spikes, y = torch.ones(10, 4, 2), torch.tensor([0, 1, 1, 1])
        >>> energy = MeanFieldELBO(kl_weight=0.1).free_energy(model, guide, spikes, y)
        >>> sorted(energy.sites)
        ['layers.0.weight', 'y']
        >>> energy.loss.backward()
    """

    def __init__(
        self,
        *,
        kl_weight: float = 1.0,
        num_particles: int = 1,
        vectorize_particles: bool = False,
        max_plate_nesting: float = float("inf"),
        committee_weight: float = 0.0,
        groups: int = 1,
    ) -> None:
        super().__init__(
            num_particles=num_particles,
            vectorize_particles=vectorize_particles,
            max_plate_nesting=max_plate_nesting,
        )
        self.kl_weight, self.committee_weight, self.groups = kl_weight, committee_weight, groups

    def _get_trace(self, model: Callee, guide: Callee, args: Any, kwargs: Any) -> tuple[Trace, Trace]:
        guide_trace = prune_subsample_sites(poutine.trace(guide).get_trace(*args, **kwargs))
        replayed = poutine.replay(model, trace=guide_trace)
        model_trace = prune_subsample_sites(poutine.trace(replayed).get_trace(*args, **kwargs))
        if is_validation_enabled():
            check_model_guide_match(model_trace, guide_trace, self.max_plate_nesting)
        return model_trace, guide_trace

    def free_energy(self, model: Callee, guide: Callee, *args: Any, **kwargs: Any) -> FreeEnergy:
        """Return the loss and its parts for these arguments of model and guide.

        Raises:
            EstimatorError: if the estimator does not hold at a site, which the message names.
        """
        sites: dict[str, Tensor] = {}
        nll = kl = torch.zeros(())
        output = None
        for model_trace, guide_trace in self._get_traces(model, guide, args, kwargs):
            output = model_trace.nodes["_RETURN"]["value"]
            for name, is_kl, term in self._terms(model_trace, guide_trace):
                term = term / self.num_particles
                sites[name] = sites.get(name, 0) + term.detach()
                nll, kl = (nll, kl + term) if is_kl else (nll + term, kl)
        return FreeEnergy(nll + self.kl_weight * kl, nll, kl, sites, output)

    def _terms(self, model_trace: Trace, guide_trace: Trace) -> Iterator[tuple[str, bool, Tensor]]:
        site: Any  # Pyro's annotation of a node has no distributions
        for name in guide_trace.stochastic_nodes:
            if name not in model_trace.nodes:
                raise EstimatorError(
                    f"the guide's site {name!r} is not in the model; remove it from the guide"
                )
        for name, site in model_trace.nodes.items():
            if site["type"] != "sample":
                continue
            if site["is_observed"]:
                log_prob = self._voted(site, site["fn"].log_prob(site["value"]))
                log_prob = scale_and_mask(log_prob, site["scale"], site["mask"])
                if is_validation_enabled():
                    check_site_shape({**site, "log_prob": log_prob}, self.max_plate_nesting)
                yield name, False, -log_prob.sum()
            elif name not in guide_trace.nodes:
                raise EstimatorError(
                    f"the guide has no site {name!r}; cover it with another guide or observe it"
                )
            else:
                guide_site: Any = guide_trace.nodes[name]
                yield name, True, _kl(name, guide_site, site["fn"])

    def _voted(self, site: Any, log_prob: Tensor) -> Tensor:
        """Return log-probabilities ``[S, B]`` of which a share is that of the particles' vote."""
        weight, share = site["infer"].get("weight"), self.committee_weight
        if not share or weight is None:
            return log_prob
        each = (log_prob * weight).unflatten(0, (-1, self.groups))
        vote = each.logsumexp(0, keepdim=True) - math.log(len(each))
        return log_prob * (1 - share) + (vote.expand_as(each) * (share / weight)).flatten(0, 1)

    def differentiable_loss(self, model: Callee, guide: Callee, *args: Any, **kwargs: Any) -> Tensor:
        """Return the loss as a tensor to differentiate; ``ELBOModule`` calls this."""
        return self.free_energy(model, guide, *args, **kwargs).loss

    def loss(self, model: Callee, guide: Callee, *args: Any, **kwargs: Any) -> float:
        """Return the loss as a number; ``SVI.evaluate_loss`` calls this."""
        with torch.no_grad():
            return float(self.differentiable_loss(model, guide, *args, **kwargs))

    def loss_and_grads(self, model: Callee, guide: Callee, *args: Any, **kwargs: Any) -> float:
        """Backpropagate the loss and return it as a number; ``SVI.step`` calls this."""
        loss = self.differentiable_loss(model, guide, *args, **kwargs)
        if loss.requires_grad:
            loss.backward(retain_graph=self.retain_graph)
        return float(loss.detach())


def _kl(name: str, guide_site: dict[str, Any], prior: TorchDistribution) -> Tensor:
    q = guide_site["fn"]
    if not (q.has_rsample or isinstance(_base(q), Delta)):
        raise EstimatorError(
            f"the guide's site {name!r} draws from {type(_base(q)).__name__}, which has no reparametrised "
            "sampler, so its gradient would be lost (is the guide in eval()?)"
        )
    try:
        kl = repeated_kl(q, prior)
        kl = kl_divergence(q, prior) if kl is None else kl
    except NotImplementedError as error:
        raise EstimatorError(
            f"no closed-form KL is registered between {_name(q)} (guide) and {_name(prior)} (model) at "
            f"site {name!r}; register one with torch.distributions.register_kl or change the pair"
        ) from error
    return scale_and_mask(kl, guide_site["scale"], guide_site["mask"]).sum()


def _base(distribution: TorchDistribution) -> TorchDistribution:
    while isinstance(distribution, Independent):
        distribution = distribution.base_dist
    return distribution


def _name(distribution: TorchDistribution) -> str:
    base = _base(distribution)
    wrapper = "" if base is distribution else f" in {type(distribution).__name__}"
    return type(base).__name__ + wrapper
