"""The two synthetic tasks of the BiSNN paper (arXiv 2012.08300): two moons and a 1-D curve."""

from __future__ import annotations

from functools import partial

import numpy as np

from bisnn_pyro.data.checks import check_count, check_number
from bisnn_pyro.data.limits import check_bytes
from bisnn_pyro.data.scaling import FeatureScaler, LabelMap, TargetScaler
from bisnn_pyro.data.splitting import at_most
from bisnn_pyro.data.task import Grid, Split, Task

SEGMENTS = ((-1.0, 0.0), (1.5, 2.5), (4.0, 5.0))
"""Where the curve is observed, in original units, half open; the rest of [-1, 5) are gaps."""

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

    Example:
        >>> task = two_moons(n_train=50, noise=0.2)
        >>> task.train.x.shape, task.classes, len(task.test)
        ((50, 2), ('0', '1'), 1000)
    """
    noise = check_number("noise", noise, 0.0)
    counts = [check_count(name, n, 2) for name, n in zip(_COUNTS, (n_train, n_val, n_test), strict=True)]
    check_bytes(
        "two-moons with so many points (n_train, n_val, n_test)",
        sum(counts) * _POINT_BYTES,
        "lower their numbers",
    )
    seeds = np.random.SeedSequence(check_count("seed", seed, 0)).generate_state(3)
    raw = [_moons(n, noise, int(s)) for n, s in zip(counts, seeds, strict=True)]
    scaler = FeatureScaler.fit(raw[0].x)
    train, val, test = (Split(scaler.transform(part.x), part.y) for part in raw)
    labels = LabelMap((0, 1))
    outside = {name: scaler.out_of_range(part.x) for name, part in zip(("val", "test"), raw[1:], strict=True)}
    return Task(
        "two-moons",
        "classification",
        train,
        val,
        test,
        labels.names,
        scaler=scaler,
        labels=labels,
        out_of_range=outside,
    )


def curve(
    n_val: int = 300,
    n_test: int = 1000,
    noise: float = 0.1,
    points_per_unit: int = 20,
    seed: int = 0,
    n_train: int | None = None,
) -> Task:
    """The paper's 1-D regression, y = x - 0.1 x^2 + cos(pi x / 2) on three segments.

    Training points are evenly spaced (from a segment's left end in steps of 1 / points_per_unit);
    validation and test points are uniform on the segments.  Noise is added in original units.
    Then x is mapped from [-1, 5] to [0, 1], so that nothing is clipped, and y from the noisy
    training targets' minimum and maximum to [0, 1]; ``scaler`` and ``target_scaler`` keep both maps.

    Args:
        n_val: Number of validation points.
        n_test: Number of test points.
        noise: Standard deviation of the noise on y, in original units.
        points_per_unit: Training points per unit of x; 20 gives 60 points.
        seed: Seed of the noise and of the validation and test points.
        n_train: At most this many training points, chosen at random; None for all.

    Returns:
        A regression task with one feature.

    Raises:
        DataError: If a count is too small, or noise or seed is negative.
    """
    noise = check_number("noise", noise, 0.0)
    check_count("points_per_unit", points_per_unit)
    rngs = [np.random.default_rng(s) for s in np.random.SeedSequence(check_count("seed", seed, 0)).spawn(3)]
    counts = check_count("n_val", n_val), check_count("n_test", n_test)
    n_points = sum(counts) + points_per_unit * round(sum(b - a for a, b in SEGMENTS))
    check_bytes(
        "the curve with so many points (points_per_unit, n_val, n_test)",
        n_points * _POINT_BYTES,
        "lower their numbers",
    )
    xs = [_even(points_per_unit), *(_uniform(n, rng) for n, rng in zip(counts, rngs[1:], strict=True))]
    ys = [curve_truth(x) + noise * rng.standard_normal(x.shape) for x, rng in zip(xs, rngs, strict=True)]
    keep = at_most(n_train, len(xs[0]), seed)
    xs[0], ys[0] = xs[0][keep], ys[0][keep]
    scaler = FeatureScaler(np.array(DOMAIN[:1]), np.array(DOMAIN[1:]))
    target = TargetScaler.fit(ys[0])
    train, val, test = (
        Split(scaler.transform(x[:, None]), target.transform(y)) for x, y in zip(xs, ys, strict=True)
    )
    line = partial(_line, scaler, target)
    return Task("curve", "regression", train, val, test, scaler=scaler, target_scaler=target, line=line)


def curve_truth(x: np.ndarray) -> np.ndarray:
    """The curve without noise, in original units, any shape."""
    return x - 0.1 * x**2 + np.cos(np.pi * x / 2)


def _line(scaler: FeatureScaler, target: TargetScaler, n_points: int) -> Grid:
    """A grid over [-1, 5) in rescaled units, with the truth and the gaps between the segments."""
    low, high = DOMAIN
    x = low + (high - low) * np.arange(n_points) / n_points
    inside = np.logical_or.reduce([(a <= x) & (x < b) for a, b in SEGMENTS])
    return Grid((scaler.transform(x[:, None])[:, 0],), target.transform(curve_truth(x)), ~inside)


_POINT_BYTES = 64
"""Of a synthetic point, its target and their copies."""
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
