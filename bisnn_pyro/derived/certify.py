"""A PAC-Bayes certificate of a finished run: a bound on the risk of its Gibbs network."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import kl_divergence

from bisnn_pyro.analysis import held_out_bound, pac_bayes_bound
from bisnn_pyro.data import Task
from bisnn_pyro.errors import RunFolderError
from bisnn_pyro.experiments.build import build_task
from bisnn_pyro.experiments.fitted import FittedRun, reopen
from bisnn_pyro.experiments.run import new_fit, prior_run
from bisnn_pyro.inference import AutoRankOneMixture, derived_seed, predict, seeded, steady_process

FIXED_SCALE = ("digits", "mnist", "fashion-mnist")
"""Sets whose features are scaled by constants, not by the minima and maxima of training examples."""

Draw = Callable[[int], dict[str, Tensor]]


def certify(
    path: str | os.PathLike[str],
    *,
    delta: float = 0.05,
    draws: int = 2000,
    data_dir: str | os.PathLike[str] | None = None,
    trust: bool = False,
) -> dict[str, Any]:
    """Bound the risk of a run's Gibbs network, which draws synapses and input noise for each example.

    See :func:`bisnn_pyro.analysis.pac_bayes_bound` for the bound.  Each draw meets its own block of the n
    examples, so that n evaluations serve any number of draws up to n.

    *Assumes*, beyond what is checked, that the n examples are independent, and that the settings of the run
    (network, prior) were chosen without them; validation examples are not among the n.

    Args:
        path: a run folder.
        delta: probability that the certificate is wrong.
        draws: at least so many independent draws.
        data_dir: where the data are now.
        trust: as for :func:`bisnn_pyro.load_run`.

    Returns:
        ``certificate`` and ``held_out`` (the prior's own Gibbs network on the same examples, KL = 0), both as
        :class:`~bisnn_pyro.analysis.PacBayesBound`; ``test_gibbs`` and ``test_vote``, the test errors of the
        Gibbs network and of the plurality vote of 50 draws; ``holds``, whether the first is within the bound.

    Raises:
        RunFolderError: where a certificate would be false; the message gives the reason.
    """
    fitted, task = reopen(path, data_dir, trust=trust)
    _check(fitted, task, Path(path), trust)
    seed, prior = fitted.config.predict.seed, fitted.model.priors()
    posterior = fitted.guide.posterior()
    kl = sum(float(kl_divergence(_double(posterior[k]), _double(p))) for k, p in prior.items())
    with steady_process(fitted.config.train.get("threads")):
        risk, m = _gibbs(
            fitted, task.train, lambda i: fitted.guide.sample_posterior(1, seed=seed, first=i), draws
        )

        def of_prior(i: int) -> dict[str, Tensor]:
            with seeded(seed, 100, i):
                return {name: p.sample()[None] for name, p in prior.items()}

        prior_risk, _ = _gibbs(fitted, task.train, of_prior, draws)
        test, _ = _gibbs(
            fitted, task.test, lambda i: fitted.guide.sample_posterior(1, seed=seed, first=i), draws
        )
        members = fitted.predict_scaled(task.test.x, predictor="committee", draws=50).draws.argmax(-1)
    votes = np.stack([(members == c).sum(0) for c in range(task.n_classes)])
    n = len(task.train)
    found = pac_bayes_bound(risk, kl, n, draws=m, delta=delta)
    return {
        "certificate": asdict(found),
        "held_out": asdict(held_out_bound(prior_risk, n, draws=m, delta=delta)),
        "test_gibbs": test,
        "test_vote": float((votes.argmax(0) != task.test.y).mean()),
        "holds": test <= found.bound,
    }


def _double(site: Any) -> Any:
    base = site.base_dist
    if hasattr(base, "natural"):
        return type(base)(base.natural.detach().double()).to_event(site.reinterpreted_batch_ndims)
    return site


def _gibbs(fitted: FittedRun, part: Any, draw: Draw, draws: int) -> tuple[float, int]:
    """Return the share of mistakes, and how many draws it took, each with a block of equal size."""
    n = len(part)
    size = max([b for b in range(1, n + 1) if n % b == 0 and n // b >= draws], default=1)
    passes = -(-draws * size // n)
    wrong = k = 0
    for first in [f for _ in range(passes) for f in range(0, n, size)]:
        rows = slice(first, first + size)
        blocks = fitted.encode(part.x[rows], derived_seed(fitted.config.predict.seed, 101, k))
        weights = draw(k)
        vote = predict(fitted.model, lambda *_, w=weights: w, blocks, n_draws=1, seed=k).draws[0]
        wrong += int((vote.argmax(-1) != part.y[rows]).sum())
        k += 1
    return wrong / (passes * n), k


def _check(fitted: FittedRun, task: Task, path: Path, trust: bool) -> None:
    """Refuse where the certificate would be false."""
    config = fitted.config
    if len(fitted.components) > 1 or isinstance(fitted.guide, AutoRankOneMixture):
        raise RunFolderError(
            f"{path} is a mixture of posteriors, whose KL is not the sum over its synapses; certify a run of "
            "one posterior"
        )
    if task.kind != "classification" or fitted.guide.point:
        raise RunFolderError(
            f"{path} is a regression or a point estimate; a certificate needs a posterior over classifiers"
        )
    if not task.spiking and config.data.name not in FIXED_SCALE:
        raise RunFolderError(
            f"the features of {config.data.name!r} are scaled by their training examples, the certified ones "
            f"among them; sets with a fixed scale are {', '.join(FIXED_SCALE)} and ready spikes"
        )
    if config.prior.name == "posterior":
        before = prior_run(config, trust=trust)
        _check_prior(fitted, before, path, trust)
    else:
        before = new_fit(config, task, trust=trust)
        if config.encoder.name == "standard":
            raise RunFolderError(f"{path}: the encoder 'standard' was fitted to the certified examples")
    then, now = before.fixed(), fitted.fixed()
    changed = [
        name
        for name in {**then, **now}
        if name not in then or name not in now or not torch.equal(then[name], now[name])
    ]
    if changed:
        raise RunFolderError(
            f"{path}: {', '.join(changed)} depend on the certified examples, and the KL does not count them; "
            "take the prior from a run on other examples (prior.name = 'posterior') with train.other_lr = 0"
        )


def _check_prior(fitted: FittedRun, prior: FittedRun, path: Path, trust: bool) -> None:
    own, share = fitted.config, fitted.config.train.get("share")
    earlier = prior.config.train.get("share")
    if prior.config.prior.name == "posterior":
        raise RunFolderError(f"{path}: the prior's run has a run as its prior itself, which is not checked")
    if own.data_settings != prior.config.data_settings:
        raise RunFolderError(
            f"{path} and the run of its prior have different data; whether they overlap is unknown"
        )
    if share is None or earlier is None or max(share[0], earlier[0]) < min(share[1], earlier[1]):
        raise RunFolderError(
            f"{path}: the prior's run has seen some of the same examples; set train.share in both"
        )
    part = build_task(own.replace("train.share", list(earlier)), trust=trust)
    if (prior.preprocessing.fingerprints or {}).get("train") != part.train.fingerprint:
        raise RunFolderError(f"{path}: the run of the prior was trained on other data than are there now")
    values = prior.guide.natural_parameters()
    if any(not torch.equal(values[name], v) for name, v in fitted.naturals.items()):
        raise RunFolderError(f"{path}: the run of the prior has changed since")
