"""Scikit-learn's handwritten digits: 1797 real 8 x 8 images that come with the wheel."""

from __future__ import annotations

import numpy as np

from bisnn_pyro.data.labels import LabelMap
from bisnn_pyro.data.scaling import FeatureScaler
from bisnn_pyro.data.splitting import at_most, choose
from bisnn_pyro.data.task import Split, Task

MAX_PIXEL = 16.0
"""Brightest value a pixel can have in this data set (a count of black dots in a 4 x 4 block)."""


def handwritten_digits(n_train: int | None = None, seed: int = 0) -> Task:
    """Load the digits with a fixed, stratified split.

    599 test images (a third), 240 for validation (a fifth of the rest), 958 for training, every
    class in proportion.  Pixels are divided by 16, so an empty pixel stays 0.  The data: Alpaydin
    and Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998 (its test part).

    Args:
        n_train: At most so many training images, classes in proportion; None for all.  Test and
            validation images do not depend on it.
        seed: Seed of the split; keep it while training seeds change.

    Returns:
        A classification task with 64 features, 10 classes and image shape (1, 8, 8).

    Raises:
        DataError: If ``n_train`` is below 1 or the seed is negative.
    """
    from sklearn.datasets import load_digits  # slow to import, so only where it is used

    x, y = load_digits(return_X_y=True)
    labels = LabelMap.fit(y)
    y = labels.encode(y)
    scaler = FeatureScaler(np.zeros(x.shape[1]), np.full(x.shape[1], MAX_PIXEL))
    test = choose(len(x), len(x) // 3, seed, y)
    rest = Split(scaler.transform(x[~test]), y[~test])
    val = choose(len(rest), round(len(rest) / 5), seed + 1, rest.y)
    x_train, y_train = rest.x[~val], rest.y[~val]
    keep = at_most(n_train, len(x_train), seed + 2, y_train)
    return Task(
        "digits",
        "classification",
        Split(x_train[keep], y_train[keep]),
        Split(rest.x[val], rest.y[val]),
        Split(scaler.transform(x[test]), y[test]),
        labels.names,
        scaler=scaler,
        image_shape=(1, 8, 8),
        labels=labels,
    )
