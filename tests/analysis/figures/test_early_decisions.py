import numpy as np
import pytest

from bisnn_pyro.analysis import early_scores, early_stopping, plot_early_decisions, plot_early_stopping
from bisnn_pyro.errors import DataError

STEPS, T, N, C = [3, 6, 9, 12, 15], 15, 40, 4
LABELS = np.arange(N) % C


def votes(seed, sureness=3.0):
    """Votes that get better over time."""
    rng = np.random.default_rng(seed)
    evidence = (
        rng.normal(size=(len(STEPS), N, C)).cumsum(0)
        + sureness * np.linspace(0, 1, len(STEPS))[:, None, None] * np.eye(C)[LABELS]
    )
    p = np.exp(evidence)
    return p / p.sum(-1, keepdims=True)


def curves(make, n_predictors=3, **options):
    names = ["committee", "mode", "mean", "committee-scaled", "mode-scaled", "mean-scaled"]
    return {names[k]: make(votes(k), LABELS, STEPS, T, **options) for k in range(n_predictors)}


PLOTS = [(early_scores, plot_early_decisions), (early_stopping, plot_early_stopping)]


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


@pytest.mark.parametrize(("make", "plot"), PLOTS)
def test_lines_differ_in_more_than_colour(make, plot):
    figure = plot(curves(make, 6)).figure
    lines = figure.axes[0].lines
    assert len({line.get_marker() for line in lines}) == 6
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [line.get_label() for line in lines]


@pytest.mark.parametrize(("make", "plot"), PLOTS)
@pytest.mark.parametrize("n_predictors", [1, 6])
def test_nothing_cut_off(make, plot, n_predictors, inside):
    inside(plot(curves(make, n_predictors, step_ms=5.0)).figure)


@pytest.mark.parametrize(("make", "plot"), PLOTS)
def test_wrong_input_is_named(make, plot):
    with pytest.raises(DataError, match="nothing to show"):
        plot({})
    broken = curves(make, 2)
    del broken["mode"]["accuracy"]
    with pytest.raises(DataError, match="'mode' lacks the column 'accuracy'"):
        plot(broken)
