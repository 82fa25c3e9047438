"""What an exported network says: from read-outs to class probabilities or means, in numpy.

The header's ``likelihood`` is one of these, of the mean read-out over the counted steps but for the last:

``softmax``
    The soft-max.
``sigmoid``
    Of one output; two classes.
``mean``
    Of one output; a regression, with ``noise_scale``, the standard deviation.
``probit``
    The soft-max of ``log Phi(z) - log Phi(-z)``.
``spike-train``
    Bayes' rule over C target trains, of which the k-th lets output k fire every ``period`` steps: outputs
    fire with probability ``sigmoid((I - reset R) / delta)``, R the trace of the train itself with factor
    ``decay``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]


def vote(likelihood: Mapping[str, Any], readout: Doubles, burn_in: int = 0) -> Doubles:
    """Return class probabilities `[B, C]`, or means `[B]`, of read-outs `[B, T, O]` from step ``burn_in`` on.

    Raises:
        ValueError: if the kind is not known.
    """
    from scipy.special import expit, log_ndtr, softmax

    kind, mean = likelihood["kind"], readout.mean(1)
    if kind == "softmax":
        return softmax(mean, axis=-1)
    if kind == "sigmoid":
        return np.stack((expit(-mean[:, 0]), expit(mean[:, 0])), axis=-1)
    if kind == "mean":
        return mean[:, 0]
    if kind == "probit":
        p = softmax(log_ndtr(mean) - log_ndtr(-mean), axis=-1)
        return np.maximum(p, np.finfo(p.dtype).tiny)
    if kind == "spike-train":
        return softmax(_train_scores(likelihood, readout, burn_in), axis=-1)
    raise ValueError(f"the likelihood {kind!r} is not known")


def _train_scores(likelihood: Mapping[str, Any], readout: Doubles, burn_in: int) -> Doubles:
    """Return the log-probability of each class's train, `[B, C]`."""
    n_steps, n_classes = burn_in + readout.shape[1], readout.shape[2]
    fires = (np.arange(n_steps) % likelihood["period"] == 0).astype(np.float64)
    r, trace = 0.0, np.zeros(n_steps)
    for t in range(1, n_steps):
        r = trace[t] = likelihood["decay"] * r + fires[t - 1]
    fires, trace = fires[burn_in:], trace[burn_in:]
    scores = np.empty((len(readout), n_classes))
    for k in range(n_classes):
        potential = readout.copy()
        potential[:, :, k] -= likelihood["reset"] * trace
        logit = potential / likelihood["delta"]
        target = np.zeros(logit.shape[1:])
        target[:, k] = fires
        scores[:, k] = (target * logit - np.logaddexp(0, logit)).sum((1, 2))
    return scores
