"""What the posteriors of finished runs look like, layer by layer."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from typing import Any

from bisnn_pyro.analysis import UNDECIDED, LayerPosterior, PrintedTable, printed_table, summarise_posterior
from bisnn_pyro.errors import ModelError
from bisnn_pyro.experiments.fitted import FittedRun, load_run

DIGITS = {"n_synapses": 0, "kl_per_synapse": 4, "entropy_per_synapse": 4}


def layer_posteriors(
    fitted: FittedRun, *, threshold: float = UNDECIDED, edges: Any = None
) -> dict[str, LayerPosterior]:
    """Return the distribution of natural parameters, undecided share and KL of each matrix of synapses.

    Args:
        fitted: the posterior, of binary synapses.
        threshold: below which ``|tanh(lambda)|`` counts as undecided.
        edges: of the histogram; see :func:`bisnn_pyro.analysis.summarise_posterior`.

    Raises:
        ModelError: if the synapses are real, or the posterior is a point.
    """
    if not fitted.guide.binary or fitted.guide.point:
        what = "a point estimate" if fitted.guide.point else "one of real synapses"
        raise ModelError(
            f"the posterior of {fitted.config.method!r} is {what}, whose synapses are not each between two "
            "signs; bayes and ebp have such posteriors"
        )
    p = fitted.config.prior.p
    natural = {name: value.cpu().numpy() for name, value in fitted.guide.natural_parameters().items()}
    prior = 0.5 * math.log(p / (1 - p))
    return summarise_posterior(natural, prior=prior, threshold=threshold, edges=edges)


def posterior_table(paths: Iterable[str | os.PathLike[str]], *, threshold: float = UNDECIDED) -> PrintedTable:
    """Return a line a method and layer, over the training seeds of these run folders.

    Raises:
        InputError: if a run cannot be read or has no posterior of signs.
    """
    rows = []
    for fitted in map(load_run, paths):
        for name, found in layer_posteriors(fitted, threshold=threshold).items():
            rows.append(
                {"method": fitted.config.method, "layer": name, "seed": fitted.config.seed, **found.row()}
            )
    return printed_table(rows, digits=DIGITS)
