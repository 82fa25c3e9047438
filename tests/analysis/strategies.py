"""Hypothesis strategies for predictions."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp


@st.composite
def predictions(draw, max_points=40, max_classes=5):
    """(probabilities [N, C], labels [N]) with ties, zeros and ones among them."""
    n, c = draw(st.integers(1, max_points)), draw(st.integers(2, max_classes))
    weights = draw(hnp.arrays(np.int64, (n, c), elements=st.integers(0, 6)))
    weights[np.arange(n), draw(hnp.arrays(np.int64, n, elements=st.integers(0, c - 1)))] += 1
    labels = draw(hnp.arrays(np.int64, n, elements=st.integers(0, c - 1)))
    return weights / weights.sum(-1, keepdims=True), labels


@st.composite
def committees(draw, max_members=6, max_points=8, max_classes=5):
    """Draws [S, N, C] of probabilities, zeros and ones among them."""
    shape = tuple(
        draw(st.integers(low, high)) for low, high in [(1, max_members), (1, max_points), (2, max_classes)]
    )
    weights = draw(hnp.arrays(np.float64, shape, elements=st.floats(0, 1)))
    weights[..., 0] += weights.sum(-1) == 0
    return weights / weights.sum(-1, keepdims=True)
