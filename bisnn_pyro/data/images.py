"""Image sets: MNIST and Fashion-MNIST from idx files, and the handwritten digits of scikit-learn."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import IO, cast

import numpy as np

from bisnn_pyro.data.checks import check_count
from bisnn_pyro.data.limits import array_bytes, check_bytes, enough_memory
from bisnn_pyro.data.location import PublishedSet, cache_folder, download, listing
from bisnn_pyro.data.scaling import FeatureScaler, LabelMap
from bisnn_pyro.data.splitting import (
    at_most,
    choose,
    held_out,
    kept_classes,
    of_classes,
    stratified_folds,
)
from bisnn_pyro.data.task import Split, Task
from bisnn_pyro.errors import DataError

SIDE = 28
N_CLASSES = 10


class ImageFiles(PublishedSet[dict[str, Path]]):
    """A set of 28 x 28 images in idx files with the names of MNIST's, compressed (``.gz``) or not.

    Args:
        name: ``data.name``.
        folders: Names of its folder below a folder of data sets, the usual one first.
        url: The publisher's folder, ending with a slash.
        md5: The published files (``.gz``) and their MD5 checksums.
        first_labels: The first training labels, by which the set is recognised.
    """

    def __init__(
        self, name: str, folders: tuple[str, ...], url: str, md5: dict[str, str], first_labels: list[int]
    ) -> None:
        self.files = [file.removesuffix(".gz") for file in md5]
        holds = f"{listing(self.files)}, compressed (.gz) or not"
        super().__init__(name, folders, holds, f"The files are at {url}.", url, md5)
        self.first_labels = first_labels

    def search(self, root: Path, shared: bool = False) -> dict[str, Path] | None:
        """Find the files in the set's folder in this one, or in this one itself unless it is shared.

        Raises:
            DataError: If only some of the files are there.
        """
        own = [root / name for name in self.folders]
        for place in own if shared else (*own, root, root / "raw"):
            found = {file: path for file in self.files if (path := _present(place, file))}
            missing = [file for file in self.files if file not in found]
            if found and missing:
                raise DataError(
                    f"{place} holds only a part of {self.name}: {listing(missing)} (or .gz) is missing; "
                    f"{self.url} has the files"
                )
            if found:
                return found
        return None

    def download(self) -> Path:
        """Download the publisher's files into the cache."""
        download(self.name, self.url, self.md5)
        return cache_folder(self.name)


def _present(place: Path, file: str) -> Path | None:
    """The file in a folder, compressed or not, under its published or its unpacked name (``images.idx3``)."""
    names = [name + suffix for name in (file, file.replace("-idx", ".idx")) for suffix in ("", ".gz")]
    return next((place / name for name in names if (place / name).is_file()), None)


MNIST = ImageFiles(
    "mnist",
    ("mnist", "MNIST/raw", "MNIST"),
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    {
        "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
    },
    [5, 0, 4, 1, 9, 2, 1, 3, 1, 4, 3, 5],
)
FASHION_MNIST = ImageFiles(
    "fashion-mnist",
    ("fashion-mnist", "FashionMNIST/raw", "FashionMNIST"),
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    {
        "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
    },
    [9, 0, 0, 3, 0, 2, 7, 2, 5, 5, 0, 9],
)


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
    from the publisher; any subset of the published images works.

    Args:
        path: The set's own folder or its parent; None for ``$BISNN_DATA`` or the publisher.
        n_train: At most this many training images, classes in proportion; None for all that are left.
            Validation and test images do not depend on it.
        n_val: Number of validation images, taken from the training images.
        n_test: At most this many test images, classes in proportion, for quick trials: scores are then
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
    6 shirt, 7 sneaker, 8 bag, 9 ankle boot.  Everything else is as in :func:`mnist`.

    Args:
        path: The set's own folder or its parent; None for ``$BISNN_DATA`` or the publisher.
        n_train: At most this many training images, classes in proportion; None for all that are left.
        n_val: Number of validation images, taken from the training images.
        n_test: At most this many test images, for quick trials; None for all.
        seed: Seed of the split; keep it while training seeds change.
        classes: Classes to learn, at least two; None for all.

    Returns:
        A classification task with 784 features, 10 classes (or those chosen) and image shape (1, 28, 28).

    Raises:
        DataError: If the files cannot be found or are not those of this set, or a number is out of range.
    """
    return _image_task(FASHION_MNIST, path, n_train, n_val, n_test, seed, classes)


def handwritten_digits(
    n_train: int | None = None,
    seed: int = 0,
    classes: Sequence[int] | None = None,
    n_folds: int | None = None,
    fold: int | None = None,
) -> Task:
    """Scikit-learn's handwritten digits, 1797 real 8 x 8 images, with a stratified split.

    599 test images (a third), 240 for validation (a fifth of the rest), 958 for training, every
    class in proportion; or one of K folds of all images for testing, and a fifth of the rest for
    validation.  Another seed makes other folds: a repeat of the cross-validation.  Pixels are divided
    by 16, so an empty pixel stays 0.  The data: Alpaydin and Kaynak, Optical Recognition of
    Handwritten Digits, UCI, 1998 (its test part).

    Args:
        n_train: At most this many training images, classes in proportion; None for all.  Test and
            validation images do not depend on it.
        seed: Seed of the split; keep it while training seeds change.
        classes: Classes to learn, at least two, for example ``[0, 1, 2, 3, 4]``; images of the others
            are left out of all three parts.  None for all.
        n_folds: K: all images are divided into K folds, classes in proportion.  None for the fixed test
            third.  ``--folds K`` sets it.
        fold: Which of them, 0..K-1, is the test set; ``--folds`` sets it.

    Returns:
        A classification task with 64 features, 10 classes (or those chosen) and image shape (1, 8, 8).

    Raises:
        DataError: If ``n_train`` is below 1, the seed is negative, a class or fold does not exist, or only
            one of ``n_folds`` and ``fold`` is given.

    Example:
        >>> task = handwritten_digits(n_train=100, classes=[3, 8])
        >>> task.image_shape, task.classes, len(task.train)
        ((1, 8, 8), ('3', '8'), 100)
        >>> [len(handwritten_digits(n_folds=10, fold=k).test) for k in (0, 9)]
        [180, 179]
    """
    from sklearn.datasets import load_digits  # slow to import, so only when it is used

    x, y = load_digits(return_X_y=True)
    kept = kept_classes(classes, N_CLASSES)
    # Split before classes are left out: the images of a class are in the same part whatever the others.
    if n_folds is not None and fold is not None:
        test = held_out(stratified_folds(n_folds, seed, y), fold, n_folds)
    elif n_folds is None and fold is None:
        test = choose(len(x), len(x) // 3, seed, y)
    else:
        raise DataError(
            f"data.n_folds is {n_folds} and data.fold is {fold}; give both, as --folds does, or neither"
        )
    rest = np.flatnonzero(~test)
    val = choose(len(rest), round(len(rest) / 5), seed + 1, y[rest])
    train = of_classes(rest[~val], y, kept)
    train = train[at_most(n_train, len(train), seed + 2, y[train])]
    rows = train, of_classes(rest[val], y, kept), of_classes(np.flatnonzero(test), y, kept)
    return _task("digits", [(x, y, part) for part in rows], kept, 16.0, 8)


def _image_task(
    published: ImageFiles,
    path: str | os.PathLike[str] | None,
    n_train: int | None,
    n_val: int,
    n_test: int | None,
    seed: int,
    classes: Sequence[int] | None,
) -> Task:
    files = published.locate(path)
    images, y = _read_pair(files, "train")
    _check_set(published, files, y)
    test_images, y_test = _read_pair(files, "t10k")
    kept = kept_classes(classes, N_CLASSES)
    if check_count("data.n_val", n_val) >= len(y):
        raise DataError(
            f"data.n_val is {n_val}, but there are {len(y)} training images; lower it, so that some are left "
            "to train on"
        )
    val = choose(len(y), n_val, seed, y)
    train = of_classes(np.flatnonzero(~val), y, kept)  # classes are left out after the split
    train = train[at_most(n_train, len(train), seed + 1, y[train])]
    if n_test is not None:
        check_count("data.n_test", n_test)
    test = of_classes(np.arange(len(y_test)), y_test, kept)
    test = test[at_most(n_test, len(test), seed + 2, y_test[test])]
    parts = [
        (images, y, train),
        (images, y, of_classes(np.flatnonzero(val), y, kept)),
        (test_images, y_test, test),
    ]
    return _task(published.name, parts, kept, 255.0, SIDE)


def _task(
    name: str,
    parts: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
    kept: tuple[int, ...],
    brightest: float,
    side: int,
) -> Task:
    """Make a task of images, labels and rows of each part; pixels are divided by the brightest value."""
    scaler = FeatureScaler(np.zeros(side * side), np.full(side * side, brightest))
    labels = LabelMap(kept)
    # Chosen as stored: the full set is never held as floats in addition to its parts.
    train, val, test = (Split(scaler.transform(x[rows]), labels.encode(y[rows])) for x, y, rows in parts)
    return Task(
        name,
        "classification",
        train,
        val,
        test,
        labels.names,
        scaler=scaler,
        image_shape=(1, side, side),
        labels=labels,
    )


def _read_pair(files: dict[str, Path], part: str) -> tuple[np.ndarray, np.ndarray]:
    """Read images ``[N, 28, 28]`` and labels ``[N]``, both uint8."""
    image_file, label_file = files[f"{part}-images-idx3-ubyte"], files[f"{part}-labels-idx1-ubyte"]
    sizes, (n_labels,) = idx_sizes(image_file, 3), idx_sizes(label_file, 1)
    if sizes[1:] != (SIDE, SIDE) or not sizes[0]:
        raise DataError(f"{image_file} holds images {list(sizes)}; expected [N, {SIDE}, {SIDE}]")
    if sizes[0] != n_labels:
        raise DataError(
            f"{image_file} holds {sizes[0]} images but {label_file.name} {n_labels} labels; "
            "expected one label per image: they are not of one set, or one is damaged"
        )
    images, labels = read_idx(image_file, 3), read_idx(label_file, 1)
    if labels.max() >= N_CLASSES:
        raise DataError(f"{label_file} holds the label {labels.max()}; expected 0 to {N_CLASSES - 1}")
    return images, labels


def _check_set(published: ImageFiles, files: dict[str, Path], y: np.ndarray) -> None:
    """Refuse a folder of the other set: only the content distinguishes them."""
    for other in (MNIST, FASHION_MNIST):
        if other is not published and y[: len(other.first_labels)].tolist() == other.first_labels:
            folder = next(iter(files.values())).parent
            raise DataError(
                f"{folder} holds {other.name}, not {published.name}; set data.name = {other.name!r}, or give "
                f"the folder of {published.name}"
            )


# --- the idx format: a big-endian header, then the values in C order --------------------------------------


def read_idx(path: str | os.PathLike[str], ndim: int) -> np.ndarray:
    """Read a file of unsigned bytes, compressed with gzip or not (recognised by its content).

    The format (LeCun, Cortes and Burges, "The MNIST database"): two zero bytes, one byte for the type
    (0x08 is an unsigned byte), one byte for the number of axes, a four-byte size per axis, the values.

    Args:
        path: The file; it is only read.
        ndim: The number of axes it must have: 3 for images ``[N, H, W]``, 1 for labels ``[N]``.

    Returns:
        The values, uint8, read-only.

    Raises:
        DataError: If the file cannot be read, is cut short or has another format.
    """
    file = Path(path)
    with _opened(file) as stream:
        sizes = _sizes(file, stream.read(4 + 4 * ndim), ndim)
        n_values = prod(sizes)
        check_bytes(f"{file} with {list(sizes)} values", array_bytes(sizes, 1))
        content = stream.read(n_values + 1)
        if len(content) != n_values:
            held = f"{len(content)}{' or more' if len(content) > n_values else ''}"
            raise DataError(
                f"{file} holds {held} values, but its header says {list(sizes)}, that is {n_values}: the "
                "file is damaged, download it again"
            )
    return np.frombuffer(content, np.uint8).reshape(sizes)


def idx_sizes(path: str | os.PathLike[str], ndim: int) -> tuple[int, ...]:
    """Read the sizes that the header of a file claims; see :func:`read_idx`."""
    file = Path(path)
    with _opened(file) as stream:
        return _sizes(file, stream.read(4 + 4 * ndim), ndim)


@contextmanager
def _opened(file: Path) -> Iterator[IO[bytes]]:
    """Open a file, compressed or not; what goes wrong while it is read is told in its name."""
    try:
        with file.open("rb") as raw, enough_memory(str(file)):
            compressed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            yield cast(IO[bytes], gzip.GzipFile(fileobj=raw)) if compressed else raw
    except EOFError as error:
        raise DataError(f"{file} is cut short; download it again") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{file} is a damaged gzip file ({error}); download it again") from error
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}") from error


def _sizes(file: Path, header: bytes, ndim: int) -> tuple[int, ...]:
    if len(header) < 4 or header[:2] != b"\0\0" or not header[3]:
        begins = f"it begins with the bytes {header[:4].hex(' ')}" if header else "it is empty"
        raise DataError(f"{file} is not an idx file: {begins}; expected 00 00 08 {ndim:02x}")
    if header[2] != 0x08:
        raise DataError(f"{file} holds values of type 0x{header[2]:02x}; expected 0x08, unsigned bytes")
    if header[3] != ndim:
        wanted = "labels [N]" if ndim == 1 else "images [N, H, W]"
        raise DataError(f"{file} holds an array of {header[3]} axes; expected {ndim}, {wanted}")
    if len(header) < 4 + 4 * ndim:
        raise DataError(f"{file} is cut short within its header; download it again")
    return tuple(int(n) for n in np.frombuffer(header, ">u4", offset=4))
