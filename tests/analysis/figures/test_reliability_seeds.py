import numpy as np
import pytest

from bisnn_pyro.analysis import plot_reliability_seeds, reliability_bins
from bisnn_pyro.errors import DataError


def test_pooled_is_every_prediction_once(predictor):
    seeds = [predictor(150, 3, 1.0, k) for k in range(3)]
    plot = plot_reliability_seeds({"bayes": seeds}, 8)
    both = (np.concatenate([p for p, _ in seeds]), np.concatenate([y for _, y in seeds]))
    for name, pair in {"1": seeds[1], "pooled": both}.items():
        bins, rows = reliability_bins(*pair, 8), plot.table["seed"] == name
        np.testing.assert_array_equal(plot.table["count"][rows], bins.count)
        np.testing.assert_allclose(plot.table["accuracy"][rows], bins.accuracy)
    assert list(dict.fromkeys(plot.table["seed"])) == ["0", "1", "2", "pooled"]
    errors = [reliability_bins(*pair, 8).ece for pair in seeds]
    assert plot.ax.get_title() == f"bayes, 3 seeds\nECE {min(errors):.3f} to {max(errors):.3f}"
    pooled = next(line for line in plot.ax.lines if line.get_label() == "all seeds pooled")
    bins = reliability_bins(*both, 8)
    shown = bins.count >= 5
    np.testing.assert_allclose(pooled.get_xydata().T, [bins.confidence[shown], bins.accuracy[shown]])


def test_a_predictor_without_seeds(predictor):
    with pytest.raises(DataError, match="'b' has no seeds"):
        plot_reliability_seeds({"a": [predictor(20, 2)], "b": []})
    with pytest.raises(DataError, match="nothing to show"):
        plot_reliability_seeds({})
