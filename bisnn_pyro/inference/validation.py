"""Validation by hard draws, outside the ELBO."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from bisnn_pyro.inference.committee import Prediction, posterior_draws, predict
from bisnn_pyro.inference.guides import SynapticGuide
from bisnn_pyro.inference.seeding import Purpose, derived_seed
from bisnn_pyro.models import SpikingGLM

FLOOR = math.log(1e-12)
"""Log-probability below which a validation NLL is cut, so that one sure mistake cannot hide the rest."""


def validate(
    model: SpikingGLM, guide: SynapticGuide, blocks: Sequence[Tensor], y: Tensor, *, n_draws: int, seed: int
) -> dict[str, float]:
    """Return the committee's mean NLL on encoded data, and its accuracy or RMSE.

    Members are drawn from the posterior, hard +-1 for binary synapses, with the same seed every time,
    so that epochs are compared by the same noise.

    Args:
        model: the network.
        guide: its posterior.
        blocks: encoded inputs ``[T, B, I]``.
        y: targets ``[N]``.
        n_draws: number of members.
        seed: of the draws.
    """
    seed = derived_seed(seed, Purpose.VALIDATION)
    prediction = predict(model, posterior_draws(guide, seed), blocks, n_draws=n_draws, seed=seed)
    return validation_scores(prediction, y)


def validation_scores(prediction: Prediction, y: Tensor) -> dict[str, float]:
    """Return the mean NLL of a prediction's vote for targets ``[N]``, and its accuracy or RMSE."""
    draws = torch.from_numpy(prediction.draws).double()
    if prediction.noise_scale is None:
        mean = draws.mean(0)
        p_true = mean.gather(1, y.long()[:, None]).squeeze(1)
        accuracy = float((mean.argmax(-1) == y).double().mean())
        return {"val_nll": float(-p_true.log().clamp_min(FLOOR).mean()), "val_accuracy": accuracy}
    normal = torch.distributions.Normal(draws, prediction.noise_scale)
    log_mixture = normal.log_prob(y.double()).logsumexp(0) - math.log(len(draws))
    rmse = float((draws.mean(0) - y.double()).square().mean().sqrt())
    return {"val_nll": float(-log_mixture.mean()), "val_rmse": rmse}
