r"""What the posterior of binary synapses looks like, layer by layer, from its natural parameters.

A synapse has :math:`P(w=+1)=\sigma(2\lambda)` and mean :math:`\tanh\lambda`: at :math:`\lambda=0` it is a
coin, far from 0 it is a fixed sign.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.posterior.inference_data import group
from bisnn_pyro.analysis.validation import FloatArray, IntArray, as_real
from bisnn_pyro.errors import DataError

#: A synapse is undecided while its mean |tanh(lambda)| is below this: each sign has at least 1/4.
UNDECIDED = 0.5

N_BINS = 60

_SUFFIX = "_natural_parameter"


@dataclass(frozen=True)
class LayerPosterior:
    """The posterior of one matrix of synapses.

    Attributes:
        n_synapses: how many there are.
        edges: `[B + 1]` edges of the histogram, in units of lambda; the same for all layers.
        counts: `[B]` synapses between them; the outer bins hold what is beyond, infinite ones too.
        undecided: share of synapses with ``|tanh(lambda)|`` below ``threshold``.
        threshold: that threshold.
        kl: KL to the prior, nats, summed over the synapses.
        entropy: nats, summed over the synapses; at most ``n_synapses`` log 2.
        mean_size: mean of ``|tanh(lambda)|``: 0 for coins, 1 for fixed signs.
    """

    n_synapses: int
    edges: FloatArray
    counts: IntArray
    undecided: float
    threshold: float
    kl: float
    entropy: float
    mean_size: float

    def row(self) -> dict[str, float]:
        """The numbers of a line of a table, the KL and the entropy for each synapse."""
        return {
            "n_synapses": self.n_synapses,
            "undecided": self.undecided,
            "mean_size": self.mean_size,
            "kl_per_synapse": self.kl / self.n_synapses,
            "entropy_per_synapse": self.entropy / self.n_synapses,
        }


def summarise_posterior(
    natural: Mapping[str, ArrayLike],
    *,
    prior: float | Mapping[str, ArrayLike] = 0.0,
    threshold: float = UNDECIDED,
    edges: ArrayLike | None = None,
) -> dict[str, LayerPosterior]:
    r"""Summarise the natural parameters of each layer.

    The KL is that of two Bernoullis, :math:`q\log(q/p) + (1-q)\log((1-q)/(1-p))`, as the ELBO has it
    (BiSNN, arXiv 2012.08300), in float64; of an infinite parameter, a point estimate's, it is minus the log
    of the prior of its sign.

    *Assumes* a mean-field posterior of signs: a layer's KL is then a sum over synapses, and layers add up.
    *Fails* where units can be swapped: synapses that are each undecided may still stand for a network that
    is sure, as no correlation is seen here.  One notices as members that agree in their votes all the same
    (``mutual_information`` near 0).

    Args:
        natural: name -> :math:`\lambda`, any shape, such as :func:`natural_parameters` or
            ``guide.natural_parameters()`` give; plus or minus infinity is accepted.
        prior: natural parameter :math:`\lambda_0=\tfrac12\log\frac{p}{1-p}` of the prior P(w = +1) = p;
            name -> an array like ``natural`` for a prior with one per synapse.
        threshold: below which :math:`|\tanh\lambda|` counts as undecided, in (0, 1].
        edges: `[B + 1]` ascending edges of the histogram; by default 60 equal bins, symmetric, that reach the
            largest finite size of all layers.

    Returns:
        A :class:`LayerPosterior` by name, in the order given.

    Raises:
        DataError: no layers, NaN, a prior that is not finite, a threshold outside (0, 1], or edges that do
            not ascend.
    """
    arrays = {name: as_real(value, name, finite=False) for name, value in natural.items()}
    if not arrays:
        raise DataError("There are no natural parameters; give at least one layer's.")
    if not isinstance(prior, Mapping) and not np.isfinite(prior):
        raise DataError(f"prior is {prior!r}; expected a finite natural parameter, 0 for a fair prior.")
    priors = {name: as_real(prior[name] if isinstance(prior, Mapping) else prior, "prior") for name in arrays}
    if not 0 < threshold <= 1:
        raise DataError(f"threshold is {threshold!r}; expected a number in (0, 1], such as {UNDECIDED}.")
    bins = _default_edges(arrays) if edges is None else _checked_edges(edges)
    return {name: _summary(values, priors[name], threshold, bins) for name, values in arrays.items()}


def natural_parameters(idata: Any) -> dict[str, FloatArray]:
    """The natural parameters that a run stored, from the group ``posterior_summary`` of its container.

    Args:
        idata: a container of one run (one chain); networks of more than 100,000 synapses store none, and
            their guide has them.

    Returns:
        Site -> lambda `[O, I]`.

    Raises:
        DataError: several chains, no natural parameters, or those of Gaussian synapses (a pair each).
    """
    summaries = group(idata, "posterior_summary")
    if summaries.sizes.get("chain", 1) != 1:
        raise DataError(f"posterior_summary holds {summaries.sizes['chain']} chains; give one run at a time.")
    found = {
        str(name).removesuffix(_SUFFIX): np.asarray(values[0], dtype=np.float64)
        for name, values in summaries.data_vars.items()
        if str(name).endswith(_SUFFIX)
    }
    if not found:
        raise DataError(
            f"posterior_summary holds {', '.join(map(str, summaries.data_vars))} and no natural parameters; "
            "point estimates have none."
        )
    for name, values in found.items():
        if values.ndim != 2:
            raise DataError(
                f"{name} has natural parameters of shape {values.shape}; expected [O, I], one per synapse: "
                "Gaussian synapses have a pair, and are never undecided between two signs."
            )
    return found


def _summary(natural: FloatArray, prior: FloatArray, threshold: float, edges: FloatArray) -> LayerPosterior:
    from scipy.special import entr, expit, rel_entr

    plus, minus = expit(2 * natural), expit(-2 * natural)
    size = np.abs(np.tanh(natural))
    kl = rel_entr(plus, expit(2 * prior)) + rel_entr(minus, expit(-2 * prior))
    counts, _ = np.histogram(np.clip(natural, edges[0], edges[-1]), edges)
    return LayerPosterior(
        n_synapses=natural.size,
        edges=edges,
        counts=counts.astype(np.int64),
        undecided=float((size < threshold).mean()),
        threshold=threshold,
        kl=max(float(kl.sum()), 0.0),
        entropy=float((entr(plus) + entr(minus)).sum()),
        mean_size=float(size.mean()),
    )


def _default_edges(arrays: Mapping[str, FloatArray]) -> FloatArray:
    sizes = (np.abs(values[np.isfinite(values)]) for values in arrays.values())
    reach = max((float(s.max()) for s in sizes if s.size), default=0.0) or 1.0
    return np.linspace(-reach, reach, N_BINS + 1)


def _checked_edges(edges: ArrayLike) -> FloatArray:
    array = as_real(edges, "edges", 1)
    if len(array) < 2 or (np.diff(array) <= 0).any():
        raise DataError(f"edges (shape {array.shape}) must be at least two numbers that ascend.")
    return array
