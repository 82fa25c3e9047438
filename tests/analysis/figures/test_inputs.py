import numpy as np
import pytest

from bisnn_pyro.analysis import find_gaps, mixture_quantile, plot_predictive_map, plot_regression_band
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


X1, X2 = np.linspace(-1, 2, 13), np.linspace(0, 1, 7)
POINTS, LABELS = np.array([[0.0, 0.5], [1.0, 0.2], [1.5, 0.9]]), np.array([0, 1, 1])


def grids():
    slope = np.broadcast_to(np.linspace(0, 1, 13), (7, 13)).copy()
    return {"committee mean": slope, "epistemic part": slope * (1 - slope), "straight-through": slope.round()}


def test_csv_holds_the_grid(written):
    columns = written(plot_predictive_map(X1, X2, grids(), POINTS, LABELS, epistemic=["epistemic part"]))
    assert list(columns) == ["x1", "x2", *grids()]
    for k in (0, 20, 90):
        row, column = divmod(k, 13)
        assert (float(columns["x1"][k]), float(columns["x2"][k])) == (X1[column], X2[row])
        for name, grid in grids().items():
            assert float(columns[name][k]) == grid[row, column]


def test_panels_of_a_kind_share_a_scale():
    panels = {**grids(), "full precision": grids()["committee mean"] / 2}
    figure = plot_predictive_map(X1, X2, panels, POINTS, LABELS, epistemic=["epistemic part"]).figure
    images = {ax.get_title(): ax.images[0] for ax in figure.axes if ax.get_title()}
    assert list(images) == list(panels)
    for name, image in images.items():
        assert image.get_clim() == ((0, 0.25) if name == "epistemic part" else (0, 1))
        np.testing.assert_array_equal(image.get_array(), panels[name])
    assert [ax.get_xlabel() for ax in figure.axes[-2:]] == [
        "probability of class 1",
        "mutual information (nats)",
    ]


def test_points_and_contour():
    figure = plot_predictive_map(X1, X2, grids(), POINTS, LABELS, epistemic=["epistemic part"]).figure
    scatters = [c for c in figure.axes[0].collections if type(c).__name__ == "PathCollection"]
    np.testing.assert_array_equal(np.vstack([s.get_offsets() for s in scatters]), POINTS)
    contours = [c for c in figure.axes[0].collections if type(c).__name__ == "QuadContourSet"]
    np.testing.assert_allclose(contours[0].get_paths()[0].vertices[:, 0], 0.5)  # slope 1/2 at x1 = 0.5
    assert not [c for c in figure.axes[1].collections if type(c).__name__ == "QuadContourSet"]
    # Cells are centred on their grid points: the picture is half a step wider than the grid.
    assert figure.axes[0].images[0].get_extent() == pytest.approx([-1.125, 2.125, -1 / 12, 13 / 12])


@pytest.mark.parametrize("n", [1, 2, 4, 5])
def test_nothing_cut_off_of_predictive_map(inside, n):
    panels = {f"panel {k}": grids()["committee mean"] for k in range(n)}
    inside(plot_predictive_map(X1, X2, panels, POINTS, LABELS, epistemic=["panel 1"] if n > 1 else []).figure)


def test_a_flat_map_is_drawn(written):
    flat = {"flat": np.full((7, 13), 0.9), "none": np.zeros((7, 13))}
    assert written(plot_predictive_map(X1, X2, flat, POINTS, LABELS, epistemic=["none"]))


@pytest.mark.parametrize(
    ("panels", "changes", "message"),
    [
        ({"a": np.zeros((13, 7))}, {}, r"Panel 'a' has shape \(13, 7\); expected \(7, 13\)"),
        ({"a": np.full((7, 13), 2.0)}, {}, "expected probabilities"),
        ({"a": np.zeros((7, 13))}, {"epistemic": ["b"]}, "'b'"),
        ({"a": np.zeros((7, 13))}, {"points": np.zeros((3, 3))}, r"points has shape \(3, 3\)"),
        ({"a": np.zeros((7, 13))}, {"labels": [0, 1, 2]}, "labels"),
        ({}, {}, "nothing to show"),
    ],
)
def test_wrong_input_is_named_of_predictive_map(panels, changes, message):
    with pytest.raises(DataError, match=message):
        plot_predictive_map(X1, X2, panels, **{"points": POINTS, "labels": LABELS, **changes})
