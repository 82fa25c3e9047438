"""Arrays that several test files share."""

import numpy as np
import pytest


def make_probabilities(n, c, sharpness=2.0, seed=0):
    """Probabilities [n, c] and labels that are less sure than they: an overconfident predictor."""
    rng = np.random.default_rng(seed)
    logits = sharpness * rng.normal(size=(n, c))
    probs = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    truth = np.exp(logits / 2) / np.exp(logits / 2).sum(-1, keepdims=True)
    labels = (truth.cumsum(-1) < rng.uniform(size=(n, 1))).sum(-1).clip(max=c - 1)
    return probs, labels


@pytest.fixture
def predictor():
    return make_probabilities
