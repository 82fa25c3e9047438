"""Labelled votes: whatever has them is scored and drawn as its arrays are."""

import numpy as np
import pytest
import xarray as xr

import bisnn_pyro.analysis as analysis
from bisnn_pyro.analysis import class_votes, plot_entropy_split, plot_forest, plot_reliability
from bisnn_pyro.errors import DataError

K, S, N, C = 3, 4, 50, 3
RNG = np.random.default_rng(0)
MEMBERS = RNG.dirichlet(np.ones(C), size=(K, S, N))
PROBS, LABELS = MEMBERS.mean(1), RNG.integers(C, size=N)
MEANS, Y = RNG.normal(size=(K, S, N)), RNG.normal(size=N)


class Finished:
    """Runs of two methods, the second with a single seed and without a dimension for it."""

    def votes(self, predictor=None):
        if predictor == "regression":
            variables = {
                "mean": (("draw", "seed", "point"), MEANS.transpose(1, 0, 2)),
                "noise_scale": ("seed", [1, 2, 3]),
            }
            return {"bayes": xr.Dataset({**variables, "target": ("point", Y)})}
        many = xr.Dataset(
            {
                "probability": (("class", "seed", "point"), PROBS.transpose(2, 0, 1)),
                "target": ("point", LABELS),
            }
        )
        return {"bayes": many, "mode": many.isel(seed=1)}

    def members(self):
        probability = (("seed", "draw", "point", "class"), MEMBERS)
        return {"bayes": xr.Dataset({"probability": probability, "target": ("point", LABELS)})}


RUNS = Finished()


def test_seeds_come_label_by_label():
    found = class_votes(RUNS)
    assert [len(seeds) for seeds in found.values()] == [K, 1]
    np.testing.assert_array_equal(found["bayes"][2][0], PROBS[2])
    np.testing.assert_array_equal(found["mode"][0][1], LABELS)
    plain = {"bayes": [(p, LABELS) for p in PROBS], "mode": (PROBS[1], LABELS)}
    for own, other in zip(found.values(), class_votes(plain).values(), strict=True):
        np.testing.assert_array_equal([pair[0] for pair in own], [pair[0] for pair in other])


@pytest.mark.parametrize(
    ("measure", "settings"),
    [
        ("accuracy", {}),
        ("negative_log_likelihood", {}),
        ("brier_score", {}),
        ("classification_metrics", {"n_bins": 5}),
        ("calibration_metrics", {"n_bins": 5}),
        ("expected_calibration_error", {"n_bins": 5, "scheme": "mass"}),
        ("maximum_calibration_error", {}),
        ("classwise_calibration_error", {}),
        ("debiased_calibration_error", {}),
        ("smooth_calibration_error", {}),
        ("ece_interval", {"n_resamples": 20}),
        ("brier_decomposition", {}),
        ("corp_decomposition", {}),
        ("fit_temperature", {}),
        ("conformal_threshold", {"method": "aps"}),
    ],
)
@pytest.mark.parametrize("given", [RUNS, RUNS.votes()], ids=["object", "datasets"])
def test_a_measure_of_labelled_votes_is_that_of_each_seed(measure, settings, given):
    function = getattr(analysis, measure)
    expected = [function(probs, LABELS, **settings) for probs in PROBS]
    assert function(given, **settings) == {"bayes": expected, "mode": [expected[1]]}


def test_confidences_members_and_regressions():
    assert analysis.ece_of_calibrated(RUNS)["mode"] == [analysis.ece_of_calibrated(PROBS[1])]
    np.testing.assert_array_equal(
        analysis.mutual_information(RUNS)["bayes"], [analysis.mutual_information(m) for m in MEMBERS]
    )
    found = analysis.regression_metrics(RUNS.votes("regression"))
    assert found["bayes"][1] == analysis.regression_metrics(MEANS[1], 2, Y)


def test_figures_of_labelled_votes_are_those_of_the_arrays():
    own, plain = plot_reliability(RUNS), plot_reliability({"a": (PROBS[0], LABELS), "b": (PROBS[1], LABELS)})
    np.testing.assert_array_equal(own.table["count"], plain.table["count"])
    assert own.ax.get_title().startswith("bayes, first of 3 seeds")
    assert set(analysis.plot_reliability_seeds(RUNS).table["seed"]) == {"0", "1", "2", "pooled"}
    assert len(analysis.plot_calibration_curve(RUNS, band=None).axes) == 2
    forest = plot_forest(RUNS)
    assert forest.table["n_seeds"].tolist()[:2] == [K, 1]
    curve = analysis.plot_risk_coverage(RUNS).table
    np.testing.assert_allclose(curve["risk"][:N], analysis.selective_accuracy(PROBS[0], LABELS).risk)
    split, arrays = plot_entropy_split(RUNS), plot_entropy_split(MEMBERS[0], LABELS)
    np.testing.assert_array_equal(split.table["share_right"], arrays.table["share_right"])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: class_votes({}), "nothing to show"),
        (lambda: class_votes({"a": []}), "'a' has no seeds"),
        (lambda: class_votes(RUNS.votes("regression")), "expected 'probability'"),
        (lambda: analysis.regression_metrics(RUNS), "expected 'mean'"),
        (lambda: analysis.mutual_information(RUNS.votes()), "'draw'"),
        (lambda: plot_entropy_split(RUNS, LABELS), "its own labels"),
        (
            lambda: analysis.mutual_information(type("Only", (), {"votes": Finished.votes})()),
            "no votes of a committee",
        ),
    ],
)
def test_wrong_votes_are_named(call, message):
    with pytest.raises(DataError, match=message):
        call()
