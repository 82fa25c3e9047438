import numpy as np
import pytest

from bisnn_pyro.analysis import plot_training_curves
from bisnn_pyro.errors import DataError

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


def test_lines_differ_in_more_than_colour():
    names = [f"method {k}" for k in range(6)]
    lines = plot_training_curves({name: {"nll": [1.0, 2.0]} for name in names}).figure.axes[0].lines
    assert len({line.get_marker() for line in lines}) == 6


def test_nothing_cut_off(inside):
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
def test_wrong_input_is_named(histories, message):
    with pytest.raises(DataError, match=message):
        plot_training_curves(histories)
