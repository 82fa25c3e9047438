"""Folds: partitions of the examples, contiguous or dealt by class."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bisnn_pyro.data.splitting import contiguous_folds, held_out, stratified_folds
from bisnn_pyro.errors import DataError

sizes = st.integers(2, 200).flatmap(lambda n: st.tuples(st.just(n), st.integers(2, n)))


@given(sizes)
@settings(deadline=None)
def test_contiguous_folds_rise_and_differ_by_one_row_at_most(size):
    n, k = size
    folds = contiguous_folds(n, k)
    counts = np.bincount(folds, minlength=k)
    assert len(folds) == n
    assert len(counts) == k
    assert np.ptp(counts) <= 1
    assert (np.diff(folds) >= 0).all()


@given(sizes, st.integers(0, 9), st.integers(1, 4))
@settings(deadline=None)
def test_stratified_folds_hold_every_class_in_proportion(size, seed, n_classes):
    n, k = size
    labels = np.random.default_rng(seed).integers(0, n_classes, n)
    folds = stratified_folds(k, seed, labels)
    assert np.ptp(np.bincount(folds, minlength=k)) <= 1
    for c in range(n_classes):
        assert np.ptp(np.bincount(folds[labels == c], minlength=k)) <= 1
    assert np.array_equal(folds, stratified_folds(k, seed, labels))


def test_each_example_is_held_out_once():
    folds = stratified_folds(5, 0, np.arange(23) % 3)
    assert np.array_equal(sum(held_out(folds, k, 5).astype(int) for k in range(5)), np.ones(23))


@pytest.mark.parametrize("n_folds", [0, 1, 11, 2.0, True])
def test_a_wrong_number_of_folds(n_folds):
    with pytest.raises(DataError, match="n_folds"):
        contiguous_folds(10, n_folds)
    with pytest.raises(DataError, match="n_folds"):
        stratified_folds(n_folds, 0, np.zeros(10))
