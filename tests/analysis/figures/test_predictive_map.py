import numpy as np
import pytest

from bisnn_pyro.analysis import plot_predictive_map
from bisnn_pyro.errors import DataError

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
def test_nothing_cut_off(inside, n):
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
def test_wrong_input_is_named(panels, changes, message):
    with pytest.raises(DataError, match=message):
        plot_predictive_map(X1, X2, panels, **{"points": POINTS, "labels": LABELS, **changes})
