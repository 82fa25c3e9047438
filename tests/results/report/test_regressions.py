"""A regression's report: coverage instead of the calibration of classes."""

import numpy as np
import pytest
from scipy.stats import norm

from bisnn_pyro.experiments.batch import plan
from bisnn_pyro.experiments.run import run
from bisnn_pyro.results import Runs
from bisnn_pyro.results.report import report
from bisnn_pyro.results.report.regression import LEVELS, regression

from .reading import Page

SMALL = ["data.points_per_unit=4", "data.n_val=10", "data.n_test=20", "encoder.n_neurons=4"]
SMALL += ["encoder.n_steps=12", "network.hidden=[8]", "network.burn_in=2", "train.epochs=1"]
SMALL += ["predict.draws=3", "analysis.figures=false"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("curve")
    for config in plan("curve", ["bayes"], [0, 1], SMALL):
        run(config, out)
    return out


def test_the_page(finished, tmp_path):
    page = Page(report([finished], tmp_path / "page.html", n_resamples=20).read_text(encoding="utf-8"))
    assert {"Scores", "Coverage", "Training", "Posterior", "Agreement of seeds"} <= set(page.headings)
    assert not {"Calibration", "Risk and coverage", "Uncertainty"} & set(page.headings)
    assert page.tables["Scores on the test points, over seeds"][0][3:6] == ["rmse", "nll", "coverage90"]
    _, *lines = page.tables["Coverage of central predictive intervals, each seed"]
    assert len(lines) == 2 * len(LEVELS)
    assert "rescaled to [0, 1] on the training set" in page.text


def test_coverage_and_variance_by_hand(finished):
    runs = Runs(finished)
    store = runs[0].store
    means = store.votes("committee")
    ranks = norm.cdf((store.targets - means) / store.noise_scale).mean(0)
    section = regression(runs)
    rows = {(r["seed"], r["level"]): r for r in section.blocks[0].table.numbers}
    for level in LEVELS:
        inside = (ranks >= (1 - level) / 2) & (ranks <= (1 + level) / 2)
        assert rows[0, f"{level:g}"]["covered"] == pytest.approx(inside.mean())
    parts = section.blocks[1].table.numbers[0]
    both = [r.store.votes("committee") for r in runs]
    spread = np.mean([np.sqrt(m.var(0).mean()) for m in both])
    assert parts["spread"] == pytest.approx(spread)
    errors = [m["predictors"]["committee"]["rmse"] for m in (run.metrics for run in runs)]
    assert parts["error"] == pytest.approx(np.mean(errors))
    stored90 = runs[0].metrics["predictors"]["committee"]["coverage90"]
    assert rows[0, "0.9"]["covered"] == pytest.approx(stored90)
