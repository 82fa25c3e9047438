"""The two synthetic tasks of the BiSNN paper (arXiv 2012.08300): two moons and a 1-D curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bisnn_pyro.data.checks import check_count, check_number
from bisnn_pyro.data.labels import LabelMap
from bisnn_pyro.data.scaling import FeatureScaler, TargetScaler
from bisnn_pyro.data.splitting import at_most
from bisnn_pyro.data.task import Split, Task
from bisnn_pyro.errors import DataError

SEGMENTS = ((-1.0, 0.0), (1.5, 2.5), (4.0, 5.0))
"""Where the curve is observed, in original units, half open; the rest of [-1, 5) is gap."""

DOMAIN = (-1.0, 5.0)
"""The curve's whole input range, in original units."""


def two_moons(
    n_train: int = 200, n_val: int = 200, n_test: int = 1000, noise: float = 0.1, seed: int = 0
) -> Task:
    """Two interleaved half circles in the plane.

    Training, validation and test points are fresh draws of the same distribution.  All are
    rescaled with the minimum and the maximum of the training points and clipped to [0, 1].

    Args:
        n_train: Number of training points.
        n_val: Number of validation points.
        n_test: Number of test points.
        noise: Standard deviation of the Gaussian noise, in units of the moons' radius.
        seed: Seed of the data; it does not depend on the training seed.

    Returns:
        A classification task with 2 features and 2 classes.

    Raises:
        DataError: If a count is too small, or noise or seed is negative.
    """
    noise = check_number("noise", noise, 0.0)
    counts = [check_count(name, n, 2) for name, n in zip(_COUNTS, (n_train, n_val, n_test), strict=True)]
    seeds = np.random.SeedSequence(check_count("seed", seed, 0)).generate_state(3)
    raw = [_moons(n, noise, int(s)) for n, s in zip(counts, seeds, strict=True)]
    scaler = FeatureScaler.fit(raw[0].x)
    train, val, test = (Split(scaler.transform(part.x), part.y) for part in raw)
    labels = LabelMap((0, 1))
    return Task("two-moons", "classification", train, val, test, labels.names, scaler=scaler, labels=labels)


def curve(
    n_val: int = 300,
    n_test: int = 1000,
    noise: float = 0.1,
    points_per_unit: int = 20,
    seed: int = 0,
    n_train: int | None = None,
) -> Task:
    """The paper's 1-D regression, y = x - 0.1 x^2 + cos(pi x / 2) on three segments.

    Training points are evenly spaced (a segment's left end, then steps of 1 / points_per_unit);
    validation and test points are uniform on the segments.  Noise is added in original units.
    Then x is mapped from [-1, 5] to [0, 1], so that nothing is clipped, and y from the noisy
    training targets' minimum and maximum to [0, 1]; ``scaler`` and ``target_scaler`` keep both maps.

    Args:
        n_val: Number of validation points.
        n_test: Number of test points.
        noise: Standard deviation of the noise on y, in original units.
        points_per_unit: Training points a unit of x; 20 gives 60 points.
        seed: Seed of the noise and of the validation and test points.
        n_train: At most so many training points, chosen at random; None for all.

    Returns:
        A regression task with one feature.

    Raises:
        DataError: If a count is too small, or noise or seed is negative.
    """
    noise = check_number("noise", noise, 0.0)
    check_count("points_per_unit", points_per_unit)
    rngs = [np.random.default_rng(s) for s in np.random.SeedSequence(check_count("seed", seed, 0)).spawn(3)]
    counts = check_count("n_val", n_val), check_count("n_test", n_test)
    xs = [_even(points_per_unit), *(_uniform(n, rng) for n, rng in zip(counts, rngs[1:], strict=True))]
    ys = [curve_truth(x) + noise * rng.standard_normal(x.shape) for x, rng in zip(xs, rngs, strict=True)]
    keep = at_most(n_train, len(xs[0]), seed)
    xs[0], ys[0] = xs[0][keep], ys[0][keep]
    scaler = FeatureScaler(np.array(DOMAIN[:1]), np.array(DOMAIN[1:]))
    target = TargetScaler.fit(ys[0])
    train, val, test = (
        Split(scaler.transform(x[:, None]), target.transform(y)) for x, y in zip(xs, ys, strict=True)
    )
    return Task("curve", "regression", train, val, test, scaler=scaler, target_scaler=target)


def curve_truth(x: np.ndarray) -> np.ndarray:
    """The curve without noise, in original units, any shape."""
    return x - 0.1 * x**2 + np.cos(np.pi * x / 2)


@dataclass(frozen=True, eq=False)
class CurveGrid:
    """The curve on a dense grid over [-1, 5), for figures; M points.

    Attributes:
        x: Inputs for the encoder, ``[M, 1]``, float32, rescaled.
        truth: Noise-free targets, ``[M]``, float32, in the task's rescaled units.
        gap: Whether a point lies outside the training segments, bool ``[M]``.
        x_original: The inputs in original units, ``[M]``, float64.
    """

    x: np.ndarray
    truth: np.ndarray
    gap: np.ndarray
    x_original: np.ndarray


def curve_grid(task: Task, n_points: int = 600) -> CurveGrid:
    """Lay a grid over [-1, 5) in the rescaled units of a curve task.

    Args:
        task: A task from :func:`curve`.
        n_points: M; 600 gives steps of 0.01.

    Returns:
        The grid, the truth on it and the mask of the gaps.

    Raises:
        DataError: If the task has no target scaler (it is not a curve) or M is too small.
    """
    if task.name != "curve" or task.scaler is None or task.target_scaler is None:
        raise DataError(f"task {task.name!r} is not the curve; make it with curve()")
    low, high = DOMAIN
    x = low + (high - low) * np.arange(check_count("n_points", n_points, 2)) / n_points
    inside = np.logical_or.reduce([(a <= x) & (x < b) for a, b in SEGMENTS])
    return CurveGrid(
        task.scaler.transform(x[:, None]), task.target_scaler.transform(curve_truth(x)), ~inside, x
    )


_COUNTS = ("n_train", "n_val", "n_test")


def _moons(n: int, noise: float, seed: int) -> Split:
    from sklearn.datasets import make_moons  # slow to import, so only where it is used

    x, y = make_moons(n, noise=noise, random_state=seed)
    return Split(x, y.astype(np.int64))


def _even(points_per_unit: int) -> np.ndarray:
    step = 1.0 / points_per_unit
    return np.concatenate([a + step * np.arange(round((b - a) * points_per_unit)) for a, b in SEGMENTS])


def _uniform(n: int, rng: np.random.Generator) -> np.ndarray:
    # The segments are equally long, so a uniform choice of segment is uniform in x.
    starts = np.array([a for a, _ in SEGMENTS])
    return starts[rng.integers(len(starts), size=n)] + rng.random(n) * (SEGMENTS[0][1] - SEGMENTS[0][0])
