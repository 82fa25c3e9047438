"""Scikit-learn's handwritten digits: 1797 real 8 x 8 images that come with the wheel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bisnn_pyro.data.labels import LabelMap
from bisnn_pyro.data.scaling import FeatureScaler
from bisnn_pyro.data.splitting import at_most, choose, kept_classes, of_classes
from bisnn_pyro.data.task import Split, Task

MAX_PIXEL = 16.0
"""Brightest value a pixel can have in this data set (a count of black dots in a 4 x 4 block)."""
N_CLASSES = 10


def handwritten_digits(
    n_train: int | None = None, seed: int = 0, classes: Sequence[int] | None = None
) -> Task:
    """Load the digits with a fixed, stratified split.

    599 test images (a third), 240 for validation (a fifth of the rest), 958 for training, every
    class in proportion.  Pixels are divided by 16, so an empty pixel stays 0.  The data: Alpaydin
    and Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998 (its test part).

    Args:
        n_train: At most so many training images, classes in proportion; None for all.  Test and
            validation images do not depend on it.
        seed: Seed of the split; keep it while training seeds change.
        classes: Classes to learn, at least two, for example ``[0, 1, 2, 3, 4]``; images of the others
            are left out of all three parts.  None for all.

    Returns:
        A classification task with 64 features, 10 classes (or those chosen) and image shape (1, 8, 8).

    Raises:
        DataError: If ``n_train`` is below 1, the seed is negative, or the classes are none of this set.
    """
    from sklearn.datasets import load_digits  # slow to import, so only where it is used

    x, y = load_digits(return_X_y=True)
    kept = kept_classes(classes, N_CLASSES)
    labels = LabelMap(kept)
    scaler = FeatureScaler(np.zeros(x.shape[1]), np.full(x.shape[1], MAX_PIXEL))
    # Split before classes are left out: the images of a class are in the same part whatever the others.
    test = choose(len(x), len(x) // 3, seed, y)
    rest = np.flatnonzero(~test)
    val = choose(len(rest), round(len(rest) / 5), seed + 1, y[rest])
    train = of_classes(rest[~val], y, kept)
    train = train[at_most(n_train, len(train), seed + 2, y[train])]

    def part(rows: np.ndarray) -> Split:
        return Split(scaler.transform(x[rows]), labels.encode(y[rows]))

    return Task(
        "digits",
        "classification",
        part(train),
        part(of_classes(rest[val], y, kept)),
        part(of_classes(np.flatnonzero(test), y, kept)),
        labels.names,
        scaler=scaler,
        image_shape=(1, 8, 8),
        labels=labels,
    )
