"""The presets: every one at reduced size by default, and at full size (slow) against its targets."""

import csv

import numpy as np
import pytest

from bisnn_pyro.experiments.batch import plan
from bisnn_pyro.experiments.build import build_task
from bisnn_pyro.experiments.resolve import load_source, preset_names
from bisnn_pyro.experiments.run import run
from tests.data.events import writers
from tests.real_data import DATA, needs

METHODS = ["bayes", "straight-through", "full-precision"]
SMALL = {
    "two-moons": ["data.n_train=40", "data.n_test=50", "train.epochs=2"],
    "two-moons-scarce": ["data.n_test=50", "train.epochs=2"],
    "digits": ["data.n_train=120", "train.epochs=2"],
    "curve": ["data.n_test=50", "data.n_val=30", "train.epochs=2"],
}


@pytest.mark.parametrize("name", SMALL)
def test_a_preset_at_reduced_size(name, tmp_path):
    overrides = [*SMALL[name], "predict.draws=3", "train.validation_draws=2", "analysis.resolution=6"]
    figures = [f"method.{method}.analysis.figures=false" for method in METHODS[1:]]  # one draws for all
    configs = plan(name, overrides=[*overrides, *figures])
    assert [c.method for c in configs] == METHODS
    for config in configs:
        metrics = run(config, tmp_path).metrics
        assert all(np.isfinite(list(s.values())).all() for s in metrics["predictors"].values())


@needs("mnist")
@pytest.mark.parametrize("name", ["mnist", "mnist-s2nn"])
def test_an_image_preset_at_reduced_size_learns(name, tmp_path):
    overrides = ["data.n_train=2000", "train.epochs=2", f"data.path={DATA}", "data.n_test=1000"]
    overrides.append("train.batch_size=20")  # 20 steps of 200 images would show little
    for config in plan(name, overrides=[*overrides, "predict.draws=3", "analysis.figures=false"]):
        metrics = run(config, tmp_path).metrics
        # A tenth would be chance; 1000 images, one seed (0), chosen before looking.
        assert metrics["predictors"][next(iter(metrics["predictors"]))]["accuracy"] > 0.7


def event_presets():
    return [n for n in preset_names() if load_source(n)["data"]["name"] in writers.EVENT_SETS]


TINY = ["train.epochs=1", "train.batch_size=5", "train.reference_size=2", "train.validation_draws=1"]
TINY += ["data.cache=false", "predict.draws=2", "analysis.figures=false"]


@pytest.mark.parametrize("name", event_presets())
def test_an_event_preset_on_written_recordings(name, tmp_path):
    data, network = (load_source(name)[table] for table in ("data", "network"))
    writers.write_set(data["name"], tmp_path / "set", data.get("scale"))
    few = [f"data.path={tmp_path / 'set'}", "data.n_val=2", f"data.n_steps={network.get('burn_in', 0) + 4}"]
    few.append("analysis.early_decisions=2")
    configs = plan(name, overrides=[*TINY, *few])
    assert [c.method for c in configs] == METHODS
    for config in configs:
        check_run(run(config, tmp_path / "runs"), config)


def check_run(result, config):
    """Scores are finite, and early decisions end with the sequence."""
    assert all(np.isfinite(list(s.values())).all() for s in result.metrics["predictors"].values())
    with (result.path / "figures" / "early_decisions.csv").open(newline="") as file:
        last = list(csv.DictReader(file))[-1]
    assert int(last["step"]) == config.data.n_steps
    assert float(last["time_ms"]) == config.data.n_steps * config.data.time_step


@needs("mnist_dvs_samples")
def test_the_mnist_dvs_preset_on_published_recordings(tmp_path):
    """They are all of the digit 0: the smallest and the others stand for two digits here."""
    samples = sorted((DATA / "mnist_dvs_samples").glob("*.aedat"))
    for k, sample in enumerate(samples):
        digit, number = int("scale04" not in sample.name), k % 2
        (tmp_path / f"mnist_{digit}_scale16_{number:04d}.aedat").symlink_to(sample)
    # Neither a tenth for testing nor one for validation is a whole recording.
    few = ["data.test_share=0.5", "data.n_val=0", "analysis.temperature_scaling=false"]
    (config,) = plan("mnist-dvs", ["bayes"], overrides=[*TINY, *few, f"data.path={tmp_path}"])
    task = build_task(config)
    assert (task.train.y.tolist(), task.test.y.tolist()) == ([0, 1], [0, 1])
    assert task.image_shape == (2, 32, 32)
    check_run(run(config, tmp_path / "runs"), config)


# One seed each, chosen before looking (0).  The limits leave room for a machine that rounds otherwise:
# over seeds 0 to 4 the results stay inside them by several standard deviations (docs/results.md).
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "limits"),
    [
        ("two-moons", {"accuracy": (0.985, 1.0), "nll": (0.0, 0.05), "ece": (0.0, 0.03)}),
        ("digits", {"accuracy": (0.94, 1.0), "nll": (0.0, 0.25)}),
        ("curve", {"rmse": (0.0, 0.04), "coverage90": (0.8, 1.0)}),
    ],
)
def test_a_preset_at_full_size_reaches_its_target(name, limits, tmp_path):
    (config,) = plan(name, ["bayes"], overrides=["analysis.figures=false", "analysis.noise=[]"])
    scores = run(config, tmp_path).metrics["predictors"]["committee"]
    for metric, (low, high) in limits.items():
        assert low <= scores[metric] <= high, (metric, scores)
