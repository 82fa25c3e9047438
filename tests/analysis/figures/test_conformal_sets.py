import numpy as np
import pytest

from bisnn_pyro.analysis import plot_conformal_sets, set_coverage
from bisnn_pyro.errors import DataError

RNG = np.random.default_rng(0)
LABELS = RNG.integers(6, size=60)
SETS = {"bayes": RNG.random((60, 6)) < 0.7, "mode": RNG.random((60, 6)) < 0.2}


def test_coverage_and_sizes():
    plot = plot_conformal_sets(SETS, LABELS, 0.8, largest=3)
    coverage, sizes = plot.axes
    found = {name: set_coverage(values, LABELS) for name, values in SETS.items()}
    for k, (name, one) in enumerate(found.items()):
        dot = coverage.containers[k]
        np.testing.assert_allclose(dot.lines[0].get_xydata(), [[one.coverage, k]])
        np.testing.assert_allclose(dot.lines[2][0].get_segments()[0][:, 0], [one.low, one.high])
        size = np.minimum(SETS[name].sum(1), 3)
        expected = [(size == n).mean() for n in range(4)]
        np.testing.assert_allclose([bar.get_height() for bar in sizes.containers[k]], expected)
    assert [text.get_text() for text in sizes.get_xticklabels()] == ["0", "1", "2", "3+"]
    assert coverage.get_yticklabels()[0].get_text() == f"bayes\n{found['bayes'].mean_size:.2f} classes"
    assert coverage.texts[0].get_text() == "promised 0.8"
    assert plot.table["predictor"].tolist() == ["bayes", "mode"]
    assert plot.table["coverage"].tolist() == [one.coverage for one in found.values()]
    assert list(plot.table)[-4:] == ["share_0", "share_1", "share_2", "share_3_or_more"]


def test_full_coverage_has_an_interval():
    plot = plot_conformal_sets({"all": np.ones((5, 3))}, [0, 1, 2, 0, 1], 0.9)
    assert plot.table["coverage"] == [1.0]
    assert plot.table["share_3"] == [1.0]


def test_wrong_input_is_named():
    with pytest.raises(DataError, match="nothing to show"):
        plot_conformal_sets({}, LABELS, 0.9)
    with pytest.raises(DataError, match="level is 90"):
        plot_conformal_sets(SETS, LABELS, 90)
