import numpy as np
import pytest

from bisnn_pyro.analysis import (
    auroc,
    expected_entropy,
    mutual_information,
    plot_conformal_sets,
    plot_entropy_split,
    plot_risk_coverage,
    plot_roc,
    plot_score_histogram,
    risk_coverage,
    roc_curve,
    set_coverage,
)
from bisnn_pyro.errors import DataError

RNG = np.random.default_rng(0)
DRAWS = RNG.dirichlet(np.ones(3), size=(6, 80))
LABELS = RNG.integers(3, size=80)


def test_histograms_of_right_and_wrong():
    plot = plot_entropy_split(DRAWS, LABELS, n_bins=9)
    right = DRAWS.mean(0).argmax(-1) == LABELS
    names = [text.get_text() for text in plot.figure.legends[0].get_texts()]
    assert names == [f"right predictions (n = {right.sum()})", f"wrong predictions (n = {(~right).sum()})"]
    parts = {"expected_entropy": expected_entropy(DRAWS), "mutual_information": mutual_information(DRAWS)}
    for name, values in parts.items():
        rows = plot.table["quantity"] == name
        edges = np.append(plot.table["edge_low"][rows], plot.table["edge_high"][rows][-1])
        for column, chosen in {"share_right": right, "share_wrong": ~right}.items():
            share = np.histogram(values[chosen], edges)[0] / chosen.sum()
            np.testing.assert_allclose(plot.table[column][rows], share)
    assert [ax.get_xlabel() for ax in plot.axes] == ["expected entropy (nats)", "mutual information (nats)"]


def test_a_single_member_that_is_always_right():
    draws = np.tile(np.eye(2), (5, 1))[None]
    plot = plot_entropy_split(draws, np.arange(10) % 2)
    assert np.isnan(plot.table["share_wrong"]).all()
    assert plot.table["share_right"].sum() == 2


def test_wrong_input_is_named():
    with pytest.raises(DataError, match="n_bins is 0"):
        plot_entropy_split(DRAWS, LABELS, n_bins=0)
    with pytest.raises(DataError, match="draws has shape"):
        plot_entropy_split(DRAWS[0], LABELS)


def test_shares_are_of_each_group():
    rng = np.random.default_rng(0)
    groups = {"in": rng.random(50), "out": 1 + rng.random(20), "noise": rng.random(5)}
    plot = plot_score_histogram(groups, "vote variance", n_bins=7)
    assert list(plot.table) == ["edge_low", "edge_high", "in", "out", "noise"]
    for k, (name, scores) in enumerate(groups.items()):
        edges = np.append(plot.table["edge_low"], plot.table["edge_high"][-1])
        np.testing.assert_allclose(plot.table[name], np.histogram(scores, edges)[0] / len(scores))
        np.testing.assert_array_equal(plot.ax.patches[k].get_data().values, plot.table[name])
    assert len({patch.get_hatch() for patch in plot.ax.patches}) == 3
    assert plot.ax.get_xlabel() == "vote variance"
    names = [text.get_text() for text in plot.figure.legends[0].get_texts()]
    assert names == ["in (n = 50)", "out (n = 20)", "noise (n = 5)"]


def test_one_score_alone():
    assert plot_score_histogram({"a": [0.0, 0.0]}, n_bins=2).table["a"].tolist() == [1.0, 0.0]


def test_wrong_input_is_named_of_score_histogram():
    with pytest.raises(DataError, match="nothing to show"):
        plot_score_histogram({})
    with pytest.raises(DataError, match="the scores of a"):
        plot_score_histogram({"a": [np.inf]})


def test_curves_areas_and_counts():
    rng = np.random.default_rng(0)
    inside, outside = rng.normal(size=30), rng.normal(1.0, size=20)
    plot = plot_roc({"entropy": (inside, outside), "tied": (inside > 0, outside > 0)})
    curve = roc_curve(inside, outside)
    np.testing.assert_array_equal(plot.ax.lines[1].get_xydata().T, [curve.fpr, curve.tpr])
    assert plot.ax.lines[1].get_label() == f"entropy (AUROC {auroc(inside, outside):.3f})"
    assert list(plot.table) == ["score", "threshold", "fpr", "tpr", "auroc"]
    assert (plot.table["score"] == "tied").sum() == 3
    assert plot.ax.get_xlabel() == "share of inside inputs flagged (n = 30)"
    assert plot.ax.get_ylabel() == "share of outside inputs flagged (n = 20)"
    assert plot.ax.get_aspect() == 1


def test_nothing_to_show():
    with pytest.raises(DataError, match="nothing to show"):
        plot_roc({})


RNG_RISK_COVERAGE = np.random.default_rng(0)
PAIRS = {
    "bayes": (RNG_RISK_COVERAGE.random(100), RNG_RISK_COVERAGE.random(100) < 0.3),
    "mode": (RNG_RISK_COVERAGE.random(50), RNG_RISK_COVERAGE.random(50)),
}


def test_csv_holds_whole_curves(written):
    columns = written(plot_risk_coverage(PAIRS))
    curves = {name: risk_coverage(*pair) for name, pair in PAIRS.items()}
    assert list(columns) == ["predictor", "coverage", "risk", "best", "aurc"]
    expected = np.concatenate([curve.risk for curve in curves.values()])
    np.testing.assert_array_equal(np.array(columns["risk"], float), expected)
    assert set(columns["aurc"][:100]) == {str(curves["bayes"].aurc)}


def test_drawn_from_thirty_points_on():
    curve = risk_coverage(*PAIRS["bayes"])
    plot = plot_risk_coverage(PAIRS)
    line = plot.ax.lines[0]
    np.testing.assert_array_equal(line.get_xydata().T, [curve.coverage[29:], curve.risk[29:]])
    assert line.get_label() == f"bayes (AURC {curve.aurc:.4f})"
    assert plot.ax.get_ylabel() == "risk (n = 50 or 100)"
    line = plot_risk_coverage(PAIRS, show="accuracy").ax.lines[0]
    np.testing.assert_allclose(line.get_ydata(), 1 - curve.risk[:28:-1])
    assert line.get_xdata()[0] == 0


@pytest.mark.parametrize("show", ["risk", "accuracy"])
@pytest.mark.parametrize(("n", "drawn"), [(1, 1), (2, 2), (20, 15), (59, 41), (90, 61), (100, 71)])
def test_two_thirds_of_a_short_curve_are_drawn(show, n, drawn):
    plot = plot_risk_coverage({"a": (np.arange(n), np.zeros(n))}, show=show)
    assert len(plot.ax.lines[0].get_xdata()) == drawn


def test_wrong_input_is_named_of_risk_coverage():
    with pytest.raises(DataError, match="nothing to show"):
        plot_risk_coverage({})
    with pytest.raises(DataError, match="show is 'both'"):
        plot_risk_coverage(PAIRS, show="both")


RNG_CONFORMAL_SETS = np.random.default_rng(0)
LABELS_CONFORMAL_SETS = RNG_CONFORMAL_SETS.integers(6, size=60)
SETS = {"bayes": RNG_CONFORMAL_SETS.random((60, 6)) < 0.7, "mode": RNG_CONFORMAL_SETS.random((60, 6)) < 0.2}


def test_coverage_and_sizes():
    plot = plot_conformal_sets(SETS, LABELS_CONFORMAL_SETS, 0.8, largest=3)
    coverage, sizes = plot.axes
    found = {name: set_coverage(values, LABELS_CONFORMAL_SETS) for name, values in SETS.items()}
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


def test_wrong_input_is_named_of_conformal_sets():
    with pytest.raises(DataError, match="nothing to show"):
        plot_conformal_sets({}, LABELS_CONFORMAL_SETS, 0.9)
    with pytest.raises(DataError, match="level is 90"):
        plot_conformal_sets(SETS, LABELS_CONFORMAL_SETS, 90)
