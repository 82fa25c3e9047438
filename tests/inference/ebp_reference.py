"""Expectation backpropagation written out from the papers, for autograd; nothing shared with the package."""

import math

import torch

SQRT_HALF = math.sqrt(0.5)


def normal_cdf(x):
    return 0.5 * torch.erfc(-x * SQRT_HALF)


def forward(means, biases, x, *, binary, dropout=None, detach=True):
    """z [B, O] of every layer, for the means of its weights (tanh h, or h of real ones)."""
    kept = (lambda t: t.detach()) if detach else (lambda t: t)
    v, result = x, []
    for k, (mean, bias) in enumerate(zip(means, biases, strict=True)):
        size = mean.shape[1]
        m = (v @ mean.T + bias) / math.sqrt(size + 1)
        w2, v2 = kept(mean) ** 2, kept(v) ** 2
        if k == 0:
            noise = 0.0 if dropout is None else 4 * dropout * (1 - dropout)
            if binary:
                terms = (1 - (1 - noise) * w2)[None] * v2[:, None, :]
            else:
                terms = (1 + noise * w2)[None] * v2[:, None, :]
        elif binary:
            terms = 1 - w2[None] * v2[:, None, :]
        else:
            terms = 1 + w2[None] * (1 - v2)[:, None, :]
        variance = (terms.sum(-1) + 1) / (size + 1)
        result.append(m / kept(variance).sqrt())
        v = 2 * normal_cdf(result[-1]) - 1
    return result


def log_evidence(z, y):
    """Sum over examples and units of log Phi(y z); y [B] labels."""
    signs = 2.0 * torch.nn.functional.one_hot(y, z.shape[1]).to(z.dtype) - 1
    return normal_cdf(signs * z).log().sum()
