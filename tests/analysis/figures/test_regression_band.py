import numpy as np
import pytest

from bisnn_pyro.analysis import find_gaps, mixture_quantile, plot_regression_band
from bisnn_pyro.errors import DataError

X = np.linspace(-1, 1, 41)
RNG = np.random.default_rng(0)
DRAWS = np.sin(3 * X) + 0.2 * RNG.normal(size=(8, 1)) * X
X_TRAIN = np.concatenate([np.linspace(-0.8, -0.3, 10), np.linspace(0.3, 0.8, 10)])
Y_TRAIN = np.sin(3 * X_TRAIN)
PREDICTORS = {"bayes": (DRAWS, 0.1), "straight-through": (DRAWS[:1], 0.2)}


def test_csv_holds_the_bands(written):
    columns = written(plot_regression_band(X, PREDICTORS, X_TRAIN, Y_TRAIN, y_true=np.sin(3 * X)))
    assert columns["predictor"] == ["bayes"] * 41 + ["straight-through"] * 41
    values = {k: np.array(v, dtype=float) for k, v in columns.items() if k != "predictor"}
    for part, (means, scale) in zip((slice(0, 41), slice(41, 82)), PREDICTORS.values(), strict=True):
        np.testing.assert_array_equal(values["x"][part], X)
        np.testing.assert_array_equal(values["mean"][part], means.mean(0))
        np.testing.assert_allclose(
            values["predictive_low"][part], mixture_quantile(0.05, means, scale), atol=1e-12
        )
        np.testing.assert_allclose(
            values["predictive_high"][part], mixture_quantile(0.95, means, scale), rtol=1e-12
        )
        np.testing.assert_allclose(
            values["epistemic_low"][part], np.quantile(means, 0.05, axis=0), rtol=1e-12
        )
        np.testing.assert_array_equal(values["y_true"][part], np.sin(3 * X))


def test_a_single_member_has_no_epistemic_band():
    figure = plot_regression_band(X, PREDICTORS, X_TRAIN, Y_TRAIN).figure
    labels = [ax.get_legend_handles_labels()[1] for ax in figure.axes]
    assert "90 % epistemic" in labels[0]
    assert "90 % epistemic" not in labels[1]
    shown = {text.get_text() for text in figure.legends[0].get_texts()}
    assert {"training points (n = 20)", "90 % predictive", "mean prediction", "no training data"} <= shown


@pytest.mark.parametrize("n", [1, 2, 3])
def test_nothing_cut_off(inside, n):
    predictors = {f"predictor {k}": (DRAWS, 0.1) for k in range(n)}
    inside(plot_regression_band(X, predictors, X_TRAIN, Y_TRAIN, y_true=np.sin(3 * X)).figure)


def test_gaps():
    np.testing.assert_allclose(find_gaps(X, X_TRAIN), [(-1, -0.8), (-0.3, 0.3), (0.8, 1)])
    assert find_gaps(X, X) == []
    np.testing.assert_allclose(find_gaps(X, X_TRAIN, share=0.2), [(-0.3, 0.3)])
    figure = plot_regression_band(X, PREDICTORS, X_TRAIN, Y_TRAIN, gaps=[(0.0, 0.25)]).figure
    assert [(p.get_x(), p.get_width()) for p in figure.axes[0].patches] == [(0.0, 0.25)]


@pytest.mark.parametrize(
    ("arguments", "changes", "message"),
    [
        ((X, {"a": (DRAWS[:, 1:], 0.1)}, X_TRAIN, Y_TRAIN), {}, r"means of a have shape \(8, 40\)"),
        ((X, PREDICTORS, X_TRAIN, Y_TRAIN[1:]), {}, "must agree"),
        ((X, PREDICTORS, X_TRAIN, Y_TRAIN), {"y_true": X[1:]}, "y_true"),
        ((X, PREDICTORS, X_TRAIN, Y_TRAIN), {"level": 90}, "level"),
        ((X, {}, X_TRAIN, Y_TRAIN), {}, "nothing to show"),
    ],
)
def test_wrong_input_is_named(arguments, changes, message):
    with pytest.raises(DataError, match=message):
        plot_regression_band(*arguments, **changes)
