import numpy as np
import pytest

from bisnn_pyro.analysis import (
    committee_size_scores,
    early_scores,
    early_stopping,
    mean_interval,
    plot_committee_size,
    plot_cost_bars,
    plot_early_decisions,
    plot_early_stopping,
    plot_forest,
    plot_shift,
    plot_sweep,
    plot_training_curves,
)
from bisnn_pyro.errors import DataError

RNG = np.random.default_rng(0)
SCORES = {
    "committee": {"accuracy": RNG.random(5), "nll": RNG.random(5), "ece": RNG.random(5)},
    "mode": {"accuracy": RNG.random(5), "nll": [np.inf, 1.0]},
    "one seed": {"accuracy": [0.5], "nll": [1.0], "ece": [0.1]},
}


def test_dots_intervals_and_gaps():
    plot = plot_forest(SCORES, level=0.9)
    assert [ax.get_xlabel() for ax in plot.axes] == ["accuracy", "NLL (nats)", "ECE"]
    assert [text.get_text() for text in plot.ax.get_yticklabels()] == list(SCORES)
    interval = mean_interval(SCORES["committee"]["accuracy"], 0.9)
    dot = plot.ax.containers[0]
    np.testing.assert_allclose(dot.lines[0].get_xydata(), [[interval.mean, 0]])
    np.testing.assert_allclose(dot.lines[2][0].get_segments()[0][:, 0], [interval.low, interval.high])
    np.testing.assert_array_equal(plot.ax.lines[0].get_xdata(), SCORES["committee"]["accuracy"])
    assert len(plot.axes[1].containers) == 2  # an infinite mean is said in words
    assert [text.get_text() for text in plot.axes[1].texts] == ["infinite"]
    low, high = plot.ax.get_ylim()
    assert low > high  # the first on top
    rows = plot.table["score"] == "ece"
    assert plot.table["predictor"][rows].tolist() == ["committee", "one seed"]
    assert plot.table["n_seeds"][rows].tolist() == [5, 1]
    assert np.isnan(plot.table["low"][rows][1])


def test_wrong_input_is_named():
    with pytest.raises(DataError, match="nothing to show"):
        plot_forest({})
    with pytest.raises(DataError, match="No predictor has 'brier'"):
        plot_forest(SCORES, {"brier": "Brier score"})


X = np.array([0.5, 1.0, 2.0, 4.0])
RNG_SCORE_CURVES = np.random.default_rng(0)
SCORES_SCORE_CURVES = {
    "bayes": RNG_SCORE_CURVES.random((5, 4)),
    "mode": RNG_SCORE_CURVES.random((5, 4)),
    "st": RNG_SCORE_CURVES.random((1, 4)),
}
PLOTS = [(plot_shift, "method"), (plot_sweep, "predictor")]


@pytest.mark.parametrize(("draw", "key"), PLOTS)
def test_means_and_intervals_over_seeds(draw, key):
    plot = draw(X, SCORES_SCORE_CURVES, score_name="ECE", level=0.9)
    assert list(plot.table) == [key, "x", "mean", "low", "high", "n_seeds"]
    for k, (name, values) in enumerate(SCORES_SCORE_CURVES.items()):
        rows = plot.table[key] == name
        intervals = [mean_interval(column, 0.9) for column in values.T]
        for end in ("mean", "low", "high"):
            expected = [getattr(interval, end) for interval in intervals]
            np.testing.assert_array_equal(plot.table[end][rows], expected)
        drawn = plot.ax.containers[k]
        np.testing.assert_array_equal(drawn.lines[0].get_xydata().T, [X, plot.table["mean"][rows]])
        bars = np.array([s for s in drawn.lines[2][0].get_segments() if s.size and np.isfinite(s).all()])
        assert len(bars) == (4 if len(values) > 1 else 0)
        if len(values) > 1:
            np.testing.assert_allclose(bars[:, :, 1].T, [plot.table["low"][rows], plot.table["high"][rows]])
    assert plot.ax.get_ylabel() == "ECE, 1 or 5 seeds"
    low, high = plot.ax.get_ylim()
    assert low <= np.nanmin(plot.table["low"])
    assert high >= np.nanmax(plot.table["high"])


def test_curves_stand_apart_on_the_page_alone():
    plot = plot_shift(X, SCORES_SCORE_CURVES)
    lines = [container.lines[0] for container in plot.ax.containers]
    places = [line.get_transform().transform((1.0, 0.5)) for line in lines]
    np.testing.assert_allclose(np.diff(places, axis=0), [[2 * 100 / 72, 0]] * 2)


def test_infinite_means_are_a_sign_on_top():
    scores = np.array([[0.1, np.inf, 0.3, 0.4], [0.2, 0.5, 0.4, 0.5]])
    plot = plot_shift(X, {"a": scores})
    assert len(plot.ax.containers[0].lines[0].get_xdata()) == 3
    assert [(text.get_text(), text.get_position()[0]) for text in plot.ax.texts] == [("∞", 1.0)]
    assert np.isinf(plot.table["mean"]).sum() == 1
    assert plot.ax.get_ylabel() == "accuracy, 2 seeds"


def test_a_sweep_marks_its_reference():
    plot = plot_sweep(X, SCORES_SCORE_CURVES)
    assert plot.ax.get_xscale() == "log"
    assert list(plot.ax.lines[0].get_xdata()) == [1.0, 1.0]
    assert len(plot_sweep(X, SCORES_SCORE_CURVES, reference=None).ax.lines) == len(plot.ax.lines) - 1


@pytest.mark.parametrize(("draw", "key"), PLOTS)
def test_wrong_input_is_named_of_score_curves(draw, key):
    with pytest.raises(DataError, match="nothing to show"):
        draw(X, {})
    with pytest.raises(DataError, match="must ascend"):
        draw(X[::-1], SCORES_SCORE_CURVES)
    with pytest.raises(DataError, match=r"of a have shape \(2, 3\); expected \[K, 4\]"):
        draw(X, {"a": np.ones((2, 3))})


def test_a_sweep_begins_above_0():
    with pytest.raises(DataError, match="values begin with -1"):
        plot_sweep([-1.0, 1.0], {"a": np.ones((2, 2))})


RNG_COMMITTEE_SIZE = np.random.default_rng(0)
LABELS = RNG_COMMITTEE_SIZE.integers(3, size=30)
CURVES = {
    "bayes": committee_size_scores(RNG_COMMITTEE_SIZE.dirichlet(np.ones(3), size=(12, 30)), LABELS),
    "gaussian": committee_size_scores(RNG_COMMITTEE_SIZE.dirichlet(np.ones(3), size=(4, 30)), LABELS),
}


def test_panels_and_sizes():
    plot = plot_committee_size(CURVES, ("accuracy", "nll", "brier", "ece"))
    assert [ax.get_ylabel() for ax in plot.axes] == ["accuracy", "NLL (nats)", "Brier score", "ECE"]
    for ax in plot.axes:
        assert ax.get_xscale() == "log"
        assert [text.get_text() for text in ax.get_xticklabels()] == ["1", "2", "4", "5", "10", "12"]
    line = plot.axes[1].containers[0].lines[0]
    np.testing.assert_array_equal(line.get_xydata().T, [CURVES["bayes"]["size"], CURVES["bayes"]["nll"]])
    assert plot.table["method"].tolist() == ["bayes"] * 5 + ["gaussian"] * 3
    assert plot.table["ece_high"][0] == CURVES["bayes"]["ece_high"][0]


def test_an_infinite_score_is_not_drawn():
    curve = {"size": [1, 2], "nll": [np.inf, 1.0], "nll_low": [0.5, 0.9], "nll_high": [np.inf, np.inf]}
    plot = plot_committee_size({"a": curve}, ["nll"])
    assert plot.ax.containers[0].lines[0].get_xdata().tolist() == [2]
    assert plot.figure.get_figwidth() == 3.4


def test_wrong_input_is_named_of_committee_size():
    with pytest.raises(DataError, match="nothing to show"):
        plot_committee_size({})
    with pytest.raises(DataError, match="'bayes' lacks the column 'mse'"):
        plot_committee_size(CURVES, ["mse"])


STEPS, T, N, C = [3, 6, 9, 12, 15], 15, 40, 4
LABELS_EARLY_DECISIONS = np.arange(N) % C


def votes(seed, sureness=3.0):
    """Votes that get better over time."""
    rng = np.random.default_rng(seed)
    evidence = (
        rng.normal(size=(len(STEPS), N, C)).cumsum(0)
        + sureness * np.linspace(0, 1, len(STEPS))[:, None, None] * np.eye(C)[LABELS_EARLY_DECISIONS]
    )
    p = np.exp(evidence)
    return p / p.sum(-1, keepdims=True)


def curves(make, n_predictors=3, **options):
    names = ["committee", "mode", "mean", "committee-scaled", "mode-scaled", "mean-scaled"]
    return {
        names[k]: make(votes(k), LABELS_EARLY_DECISIONS, STEPS, T, **options) for k in range(n_predictors)
    }


PLOTS_EARLY_DECISIONS = [(early_scores, plot_early_decisions), (early_stopping, plot_early_stopping)]


def test_csv_holds_the_scores(written):
    scores = curves(early_scores)
    columns = written(plot_early_decisions(scores))
    assert list(columns) == ["predictor", "step", "time_fraction", "accuracy", "nll", "brier", "ece", "n"]
    assert columns["predictor"] == [name for name in scores for _ in STEPS]
    for name in ("step", "accuracy", "nll", "ece"):
        expected = np.concatenate([part[name] for part in scores.values()])
        np.testing.assert_array_equal(np.array(columns[name], float), expected)


def test_csv_holds_the_stopping_curve(written):
    columns = written(plot_early_stopping(curves(early_stopping, 2)))
    assert columns["threshold"][0] == "0.0"
    assert set(columns["predictor"]) == {"committee", "mode"}
    assert "mean_step" in columns


@pytest.mark.parametrize("step_ms", [None, 5.0])
def test_axes_say_what_they_show(step_ms):
    scores = curves(early_scores, step_ms=step_ms)
    axes = plot_early_decisions(scores).figure.axes
    assert [ax.get_ylabel() for ax in axes] == ["accuracy (n = 40)", "NLL (nats)", "ECE"]
    unit, factor = ("steps", 1) if step_ms is None else ("ms", step_ms)
    assert {ax.get_xlabel() for ax in axes} == {f"elapsed time ({unit})"}
    np.testing.assert_allclose(axes[0].lines[0].get_xdata(), factor * np.array(STEPS))
    np.testing.assert_array_equal(axes[2].lines[1].get_ydata(), scores["mode"]["ece"])
    (ax,) = plot_early_stopping(curves(early_stopping, step_ms=step_ms)).figure.axes
    assert ax.get_xlabel() == f"mean time at the decision ({unit})"


def test_infinite_scores_are_left_out_of_the_picture_alone():
    scores = curves(early_scores, 1)
    scores["committee"]["nll"][1] = np.inf
    plot = plot_early_decisions(scores)
    assert len(plot.figure.axes[1].lines[0].get_xdata()) == len(STEPS) - 1
    assert np.isinf(plot.table["nll"]).sum() == 1


@pytest.mark.parametrize(("make", "plot"), PLOTS_EARLY_DECISIONS)
def test_lines_differ_in_more_than_colour(make, plot):
    figure = plot(curves(make, 6)).figure
    lines = figure.axes[0].lines
    assert len({line.get_marker() for line in lines}) == 6
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [line.get_label() for line in lines]


@pytest.mark.parametrize(("make", "plot"), PLOTS_EARLY_DECISIONS)
@pytest.mark.parametrize("n_predictors", [1, 6])
def test_nothing_cut_off(make, plot, n_predictors, inside):
    inside(plot(curves(make, n_predictors, step_ms=5.0)).figure)


@pytest.mark.parametrize(("make", "plot"), PLOTS_EARLY_DECISIONS)
def test_wrong_input_is_named_of_early_decisions(make, plot):
    with pytest.raises(DataError, match="nothing to show"):
        plot({})
    broken = curves(make, 2)
    del broken["mode"]["accuracy"]
    with pytest.raises(DataError, match="'mode' lacks the column 'accuracy'"):
        plot(broken)


NAN = np.nan
HISTORIES = {
    "bayes": {
        "epoch": [1, 2, 3, 4],
        "nll": [4.0, 3, 2, 1],
        "kl": [1.0, 2, 3, 4],
        "val_nll": [NAN, 2.0, NAN, 1.0],
    },
    "straight-through": {"epoch": [1, 2], "nll": [5.0, 4.0], "kl": [NAN, NAN], "val_nll": [1.0, 2.0]},
    "full-precision": {"nll": [5.0, 4.0]},
}


def test_csv_holds_the_histories(written):
    columns = written(plot_training_curves(HISTORIES))
    assert columns["method"] == ["bayes"] * 4 + ["straight-through"] * 2 + ["full-precision"] * 2
    np.testing.assert_array_equal(np.array(columns["epoch"], float), [1, 2, 3, 4, 1, 2, 0, 1])
    np.testing.assert_array_equal(np.array(columns["nll"], float), [4, 3, 2, 1, 5, 4, 5, 4])
    np.testing.assert_array_equal(np.array(columns["val_nll"], float), [NAN, 2, NAN, 1, 1, 2, NAN, NAN])


def test_lines_bridge_missing_epochs_and_skip_missing_columns():
    axes = {ax.get_ylabel(): ax for ax in plot_training_curves(HISTORIES).figure.axes}
    assert list(axes) == ["training loss without KL (nats)", "KL (nats)", "validation NLL (nats)"]
    assert all(ax.get_xlabel() == "epoch" for ax in axes.values())
    assert [line.get_label() for line in axes["KL (nats)"].lines] == ["bayes"]
    np.testing.assert_array_equal(axes["validation NLL (nats)"].lines[0].get_xydata(), [[2, 2], [4, 1]])


def test_panels_without_data_are_left_out_and_others_can_be_asked_for():
    assert len(plot_training_curves({"a": {"nll": [1.0]}}).figure.axes) == 1
    history = {"a": {"epoch": [1, 2], "temperature": [1.0, 0.5], "note": ["x", "y"]}}
    figure = plot_training_curves(history, {"temperature": "temperature"}).figure
    assert [ax.get_ylabel() for ax in figure.axes] == ["temperature"]
    assert not figure.legends


def test_wide_ranges_are_logarithmic_and_negative_ones_are_not():
    scale = lambda values: plot_training_curves({"a": {"nll": values}}).figure.axes[0].get_yscale()  # noqa: E731
    assert scale([1e3, 1.0]) == "log"
    assert scale([2.0, 1.0]) == "linear"
    assert scale([1e3, -1.0]) == "linear"


def test_lines_differ_in_more_than_colour_of_training_curves():
    names = [f"method {k}" for k in range(6)]
    lines = plot_training_curves({name: {"nll": [1.0, 2.0]} for name in names}).figure.axes[0].lines
    assert len({line.get_marker() for line in lines}) == 6


def test_nothing_cut_off_of_training_curves(inside):
    inside(plot_training_curves(HISTORIES).figure)
    inside(plot_training_curves({"a": {"nll": [1.0, 2.0]}}).figure)


@pytest.mark.parametrize(
    ("histories", "message"),
    [
        ({}, "none of the columns"),
        ({"a": {"nll": [NAN]}}, "none of the columns"),
        ({"a": {"nll": [1.0], "kl": [1.0, 2.0]}}, "history of a"),
        ({"a": {"note": ["x"]}}, "history of a"),
    ],
)
def test_wrong_input_is_named_of_training_curves(histories, message):
    with pytest.raises(DataError, match=message):
        plot_training_curves(histories)


COSTS = {
    "mode": {"spikes": 10.0, "synaptic_ops": 1500.0, "weight_bits": 2e6},
    "committee": {"spikes": 100.0, "synaptic_ops": 150000.0, "weight_bits": 4e9},
    "no spikes": {"spikes": None, "synaptic_ops": 3000.0},
}


def test_bars_numbers_and_gaps():
    plot = plot_cost_bars(COSTS)
    assert [ax.get_xlabel() for ax in plot.axes] == [
        "spikes",
        "synaptic operations (log scale)",
        "bits of weights (log scale)",
    ]
    assert [ax.get_xscale() for ax in plot.axes] == ["linear", "log", "log"]
    assert [bar.get_width() for bar in plot.axes[0].patches] == [10.0, 100.0]
    assert [text.get_text() for text in plot.axes[0].texts] == ["10", "100", "–"]
    assert [text.get_text() for text in plot.axes[1].texts] == ["1.5 k", "150 k", "3 k"]
    assert [text.get_text() for text in plot.axes[2].texts] == ["2 M", "4 G", "–"]
    assert [text.get_text() for text in plot.ax.get_yticklabels()] == list(COSTS)
    assert plot.table["predictor"].tolist() == list(COSTS)
    np.testing.assert_array_equal(plot.table["weight_bits"], [2e6, 4e9, np.nan])


def test_zeros_have_a_linear_axis():
    plot = plot_cost_bars({"a": {"energy_nj": 0.0}, "b": {"energy_nj": 1e6}}, {"energy_nj": "energy (nJ)"})
    assert plot.ax.get_xscale() == "linear"
    assert plot_cost_bars({"a": {"spikes": None}}, {"spikes": "spikes"}).ax.texts


def test_wrong_input_is_named_of_cost_bars():
    with pytest.raises(DataError, match="nothing to show"):
        plot_cost_bars({})
    with pytest.raises(DataError, match="spikes of a is -1"):
        plot_cost_bars({"a": {"spikes": -1.0}})
