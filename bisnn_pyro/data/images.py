"""MNIST and Fashion-MNIST: 28 x 28 grey images of ten classes, from idx files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bisnn_pyro.data.checks import check_count
from bisnn_pyro.data.idx import read_idx
from bisnn_pyro.data.labels import LabelMap
from bisnn_pyro.data.location import PublishedSet, locate
from bisnn_pyro.data.scaling import FeatureScaler
from bisnn_pyro.data.splitting import at_most, choose, kept_classes, of_classes
from bisnn_pyro.data.task import Split, Task
from bisnn_pyro.errors import DataError

SIDE = 28
N_CLASSES = 10
BRIGHTEST = 255.0

MNIST = PublishedSet(
    "mnist",
    ("mnist", "MNIST/raw", "MNIST"),
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    {
        "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
    },
)
FASHION_MNIST = PublishedSet(
    "fashion-mnist",
    ("fashion-mnist", "FashionMNIST/raw", "FashionMNIST"),
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    {
        "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
    },
)

_FIRST_LABELS = {
    "mnist": [5, 0, 4, 1, 9, 2, 1, 3, 1, 4, 3, 5],
    "fashion-mnist": [9, 0, 0, 3, 0, 2, 7, 2, 5, 5, 0, 9],
}
"""The first training labels of each set; its files are named like the other's."""


def mnist(
    path: str | os.PathLike[str] | None = None,
    n_train: int | None = None,
    n_val: int = 5000,
    n_test: int | None = None,
    seed: int = 0,
    classes: Sequence[int] | None = None,
) -> Task:
    """MNIST, handwritten digits (LeCun, Cortes and Burges; CC BY-SA 3.0).

    Validation images are a fixed, stratified part of the 60,000 training images; test images are the
    set's own 10,000.  Pixels are divided by 255.  The files come from ``path``, from ``$BISNN_DATA`` or
    from the publisher, see :func:`bisnn_pyro.data.location.locate`; fewer images than were published
    will do.

    Args:
        path: The set's own folder or its parent; None for the other two places.
        n_train: At most so many training images, classes in proportion; None for all that are left.
            Validation and test images do not depend on it.
        n_val: Number of validation images.
        n_test: At most so many test images, classes in proportion, for quick trials: scores are then
            not those of the whole test set.  None for all.
        seed: Seed of the split; keep it while training seeds change.
        classes: Classes to learn, at least two, for example ``[0, 1, 2, 3, 4]``; images of the others
            are left out of all three parts, whose sizes shrink with them.  None for all.

    Returns:
        A classification task with 784 features, 10 classes (or those chosen) and image shape (1, 28, 28).

    Raises:
        DataError: If the files cannot be found or are not those of this set, or a number is out of range.
    """
    return _image_task(MNIST, path, n_train, n_val, n_test, seed, classes)


def fashion_mnist(
    path: str | os.PathLike[str] | None = None,
    n_train: int | None = None,
    n_val: int = 5000,
    n_test: int | None = None,
    seed: int = 0,
    classes: Sequence[int] | None = None,
) -> Task:
    """Fashion-MNIST, articles of clothing (Xiao, Rasul and Vollgraf, arXiv 1708.07747; MIT licence).

    Classes are the published numbers: 0 T-shirt or top, 1 trouser, 2 pullover, 3 dress, 4 coat, 5 sandal,
    6 shirt, 7 sneaker, 8 bag, 9 ankle boot.  All else is as in :func:`mnist`.

    Args:
        path: The set's own folder or its parent; None for ``$BISNN_DATA`` or the publisher.
        n_train: At most so many training images, classes in proportion.
        n_val: Number of validation images, out of the training images.
        n_test: At most so many test images, for quick trials.
        seed: Seed of the split.
        classes: Classes to learn; None for all.

    Returns:
        A classification task with 784 features, 10 classes (or those chosen) and image shape (1, 28, 28).

    Raises:
        DataError: If the files cannot be found or are not those of this set, or a number is out of range.
    """
    return _image_task(FASHION_MNIST, path, n_train, n_val, n_test, seed, classes)


def _image_task(
    published: PublishedSet,
    path: str | os.PathLike[str] | None,
    n_train: int | None,
    n_val: int,
    n_test: int | None,
    seed: int,
    classes: Sequence[int] | None,
) -> Task:
    files = locate(published, path)
    images, y = _read_pair(files, "train")
    _check_set(published, files, y)
    test_images, y_test = _read_pair(files, "t10k")
    kept = kept_classes(classes, N_CLASSES)
    train, val = _split(y, n_train, n_val, kept, seed)
    if n_test is not None:
        check_count("data.n_test", n_test)
    test = of_classes(np.arange(len(y_test)), y_test, kept)
    test = test[at_most(n_test, len(test), seed + 2, y_test[test])]
    scaler = FeatureScaler(np.zeros(SIDE * SIDE), np.full(SIDE * SIDE, BRIGHTEST))
    labels = LabelMap(kept)

    def part(x: np.ndarray, t: np.ndarray, rows: np.ndarray) -> Split:
        # Chosen as bytes: the full set is never held as floats beside its parts.
        return Split(scaler.transform(x[rows]), labels.encode(t[rows]))

    return Task(
        published.name,
        "classification",
        part(images, y, train),
        part(images, y, val),
        part(test_images, y_test, test),
        labels.names,
        scaler=scaler,
        image_shape=(1, SIDE, SIDE),
        labels=labels,
    )


def _read_pair(files: dict[str, Path], part: str) -> tuple[np.ndarray, np.ndarray]:
    """Read images ``[N, 28, 28]`` and labels ``[N]``, both uint8."""
    image_file, label_file = files[f"{part}-images-idx3-ubyte"], files[f"{part}-labels-idx1-ubyte"]
    images, labels = read_idx(image_file, 3), read_idx(label_file, 1)
    if images.shape[1:] != (SIDE, SIDE) or not len(images):
        raise DataError(f"{image_file} holds images {list(images.shape)}; expected [N, {SIDE}, {SIDE}]")
    if len(images) != len(labels):
        raise DataError(
            f"{image_file} holds {len(images)} images but {label_file.name} {len(labels)} labels; "
            "expected a label an image: they are not of one set, or one is damaged"
        )
    if labels.max() >= N_CLASSES:
        raise DataError(f"{label_file} holds the label {labels.max()}; expected 0 to {N_CLASSES - 1}")
    return images, labels


def _check_set(published: PublishedSet, files: dict[str, Path], y: np.ndarray) -> None:
    """Refuse a folder of the other set: nothing but the content tells them apart."""
    for other, first in _FIRST_LABELS.items():
        if other != published.name and y[: len(first)].tolist() == first:
            folder = next(iter(files.values())).parent
            raise DataError(
                f"{folder} holds {other}, not {published.name}; set data.name = {other!r}, or give the "
                f"folder of {published.name}"
            )


def _split(
    y: np.ndarray, n_train: int | None, n_val: int, kept: Sequence[int], seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the training and of the validation images; classes are left out after the split."""
    if check_count("data.n_val", n_val) >= len(y):
        raise DataError(
            f"data.n_val is {n_val}, but there are {len(y)} training images; set it lower, so that some are "
            "left to train on"
        )
    val = choose(len(y), n_val, seed, y)
    rest = of_classes(np.flatnonzero(~val), y, kept)
    train = rest[at_most(n_train, len(rest), seed + 1, y[rest])]
    return train, of_classes(np.flatnonzero(val), y, kept)
