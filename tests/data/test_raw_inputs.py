"""Any container of numbers trains and predicts alike, and everything else is refused by name."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from bisnn_pyro.data import Preprocessing
from bisnn_pyro.data.raw_inputs import as_array, as_spikes
from bisnn_pyro.data.scaling import FeatureScaler
from bisnn_pyro.errors import DataError

X = np.array([[1.0, 0.0, 3.0], [0.0, 5.0, 0.0]])


@pytest.mark.parametrize(
    "x",
    [
        X.tolist(),
        X.astype(np.float32),
        X.astype(np.float16),
        X.astype(np.longdouble),
        X.astype(np.int64),
        X.astype(np.uint8),
        X.astype(">f8"),
        np.asfortranarray(X),
        X[:, ::-1][:, ::-1],
        np.ma.MaskedArray(X, mask=False),
        np.asmatrix(X),
        sparse.csr_matrix(X),
        sparse.coo_array(X),
        pd.DataFrame(X),
        pd.DataFrame({"a": [True, False], "b": [0, 5], "c": [3.0, 0.0]}),
        pd.DataFrame(X.astype(int)).astype("Int64"),
        torch.tensor(X),
        torch.tensor(X, requires_grad=True),
        torch.tensor(X).to_sparse(),
        torch.tensor(X, dtype=torch.bfloat16),
    ],
    ids=lambda x: type(x).__name__,
)
def test_containers(x):
    array = as_array("x", x)
    assert array.dtype.kind in "biuf"
    assert np.array_equal(np.asarray(array, np.float64), X)


def test_booleans_are_numbers():
    assert as_array("x", X > 0).dtype == bool
    assert FeatureScaler.fit(X > 0).transform(X > 0).dtype == np.float32


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (X.astype(complex), "type complex128 .*expected real numbers"),
        (X.astype(object), "type object"),
        (X.astype(str), "type <U"),
        ([[1.0], [1.0, 2.0]], "not an array of numbers .list"),
        ([["a"]], "type <U1"),
        ([[None]], "type object"),
        (np.zeros(3, [("a", "f8")]), r"type \[\('a'"),
        (np.zeros((2, 2), "M8[s]"), "type datetime64"),
        (np.ma.MaskedArray(X, mask=X > 4), "masked values; fill them"),
        (pd.DataFrame({"a": ["x", "y"], "b": [1, 2]}), "expected real numbers"),
        (
            pd.DataFrame({"a": pd.array([1, None], "Int64"), "b": [1, 2]}),
            "not an array of numbers .DataFrame",
        ),
        (torch.tensor(X, dtype=torch.complex64), "type complex64"),
        (X[0], r"shape \(3,\); expected features \[N, F\]"),
        (1.0, r"shape \(\)"),
        ("abc", "type <U3"),
        (None, "type object"),
        (np.zeros((0, 3)), "with no empty axis"),
    ],
)
def test_what_is_no_input(x, words):
    with pytest.raises(DataError, match=f"x .*{words}"):
        as_array("x", x)


def test_a_sparse_matrix_too_large_when_dense():
    with pytest.raises(DataError, match=r"x would take .*, and the limit"):
        as_array("x", sparse.csr_matrix((10**6, 10**6)))


class TestSpikes:
    @pytest.mark.parametrize("kind", ["?", "u1", "i8", "f2", "f8"])
    def test_small_counts_are_bytes(self, kind):
        x = np.array([[[0, 1], [1, 0]]]).astype(kind)
        assert as_spikes("x", x).dtype == np.uint8
        assert np.array_equal(as_spikes("x", x), x)

    def test_others_are_floats(self):
        assert as_spikes("x", np.array([[[0.5]]])).dtype == np.float32
        assert as_spikes("x", np.array([[[256]]])).item() == 256

    @pytest.mark.parametrize(("value", "words"), [(-1, "0 or more"), (np.nan, "NaN"), (1e300, "as float32")])
    def test_refused(self, value, words):
        with pytest.raises(DataError, match=words):
            as_spikes("x", np.array([[[value]]]))


class TestRange:
    pre = Preprocessing("classification", 2, 2, scaler=FeatureScaler(np.zeros(2), np.array([1.0, 10.0])))

    def test_what_is_outside_is_counted(self):
        x = np.array([[0.5, 5.0], [1.1, 5.0], [0.0, 10.0], [0.2, -1.0]])
        scaled, found = self.pre.inputs(x)
        assert (found.share, found.far, found.action) == (0.25, 0.0, "clip")
        assert scaled.max() == 1
        assert scaled.min() == 0
        assert (
            str(found)
            == "25 % of the input values lie outside the range of the training set and are clipped to it"
        )

    def test_passed_as_they_are(self):
        scaled, found = self.pre.inputs([[2.0, 5.0]], "pass")
        assert scaled.tolist() == [[2.0, 0.5]]
        assert "used as they are" in str(found)
        with pytest.raises(DataError, match="too far outside"):
            self.pre.inputs([[1e300, 5.0]], "pass")

    def test_refused_with_the_first(self):
        with pytest.raises(
            DataError, match=r"x holds 11 in row 1, feature 1, outside the training range \[0, 10\]"
        ):
            self.pre.inputs([[0.0, 5.0], [0.0, 11.0]], "refuse")
        self.pre.inputs([[0.0, 5.0]], "refuse")
        with pytest.raises(DataError, match=r"predict\.on_out_of_range is 'ignore'"):
            self.pre.inputs([[0.0, 5.0]], "ignore")

    @pytest.mark.parametrize(
        ("x", "serious"),
        [
            (np.full((100, 2), 0.5), False),
            (np.vstack([np.full((98, 2), 0.5), [[1.1, 0], [0, 10.5]]]), False),  # two of 200 slightly
            (np.vstack([np.full((50, 2), 0.5), np.full((50, 2), 1.5)]), True),
            (np.vstack([np.full((90, 2), 0.5), np.full((10, 2), [0.5, 1000])]), True),  # one unit is wrong
        ],
    )
    def test_when_it_is_serious(self, x, serious):
        assert self.pre.inputs(x)[1].serious == serious

    def test_without_a_scaler_the_range_is_that_of_a_task(self):
        scaled, found = Preprocessing("classification", 2, 2).inputs([[0.5, 7.0]])
        assert scaled.tolist() == [[0.5, 1.0]]
        assert found.share == 0.5

    def test_a_constant_feature_is_never_far(self):
        scaler = FeatureScaler(np.ones(2), np.array([1.0, 2.0]))
        found = scaler.out_of_range(np.array([[5.0, 1.5]]))
        assert (found.share, found.far) == (0.5, 0.0)
        assert scaler.out_of_range(np.zeros((0, 2))).share == 0
