"""Early decisions of a run: the files, their numbers, and what is refused."""

import numpy as np
import pytest

import bisnn_pyro
from bisnn_pyro.analysis import classification_metrics, fit_temperature, scale_temperature
from bisnn_pyro.errors import ConfigError, DataError, ModelError
from bisnn_pyro.experiments.batch import plan
from bisnn_pyro.experiments.build import build_task
from bisnn_pyro.experiments.evaluate import early_steps, step_ms
from bisnn_pyro.experiments.run import evaluate_folder, run
from tests.experiments.numbers import by_predictor
from tests.experiments.spikes import N_STEPS, spikes_configs

FIVE = "analysis.early_decisions=5"


def test_off_by_default(tmp_path):
    (config,) = spikes_configs(tmp_path)
    assert not (run(config, tmp_path / "out").path / "figures").exists()


@pytest.mark.parametrize(
    ("wanted", "burn_in", "n_steps", "steps"),
    [
        (5, 2, 12, (4, 6, 8, 10, 12)),
        (3, 0, 10, (4, 7, 10)),
        (1, 3, 9, (9,)),
        (20, 1, 4, (2, 3, 4)),
        ([3, 9], 2, 12, (3, 9)),
    ],
)
def test_steps(tmp_path, wanted, burn_in, n_steps, steps):
    overrides = [f"analysis.early_decisions={wanted}", f"network.burn_in={burn_in}"]
    (config,) = spikes_configs(tmp_path, overrides=overrides)
    assert early_steps(config, n_steps) == steps


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A config and its finished run, with temperatures and without figures."""
    folder = tmp_path_factory.mktemp("early")
    overrides = [FIVE, "analysis.temperature_scaling=true", "analysis.bins=7"]
    (config,) = spikes_configs(folder, overrides=overrides)
    return config, run(config, folder / "out")


class TestFiles:
    def test_scores_are_those_of_the_members_at_each_step(self, finished):
        config, result = finished
        posterior, test = bisnn_pyro.load_run(result.path), build_task(config).test
        tables = by_predictor(result.path / "figures" / "early_decisions.csv")
        assert list(tables) == [
            "committee",
            "committee-scaled",
            "mode",
            "mode-scaled",
            "mean",
            "mean-scaled",
            "pruned",
            "pruned-scaled",
        ]
        for predictor in ("committee", "mode", "mean", "pruned"):
            draws = posterior.predict_early(test.x, [4, 6, 8, 10, 12], predictor=predictor)
            assert draws.shape == (5, 4 if predictor == "committee" else 1, 21, 3)
            table = tables[predictor]
            assert list(table) == ["step", "time_fraction", "accuracy", "nll", "brier", "ece", "n"]
            assert table["step"] == [4, 6, 8, 10, 12]
            assert table["n"] == [21] * 5
            for k, votes in enumerate(draws.mean(axis=1)):
                scores = classification_metrics(votes, test.y, 7)
                assert [table[m][k] for m in ("accuracy", "nll", "brier", "ece")] == [
                    scores[m] for m in ("accuracy", "nll", "brier", "ece")
                ]

    def test_the_last_step_is_the_runs_own_score(self, finished):
        _, result = finished
        tables = by_predictor(result.path / "figures" / "early_decisions.csv")
        for predictor, scores in result.metrics["predictors"].items():
            for metric in ("accuracy", "nll", "brier", "ece"):
                assert tables[predictor][metric][-1] == scores[metric]

    def test_the_temperature_is_that_of_the_whole_sequence(self, finished):
        config, result = finished
        posterior, task = bisnn_pyro.load_run(result.path), build_task(config)
        temperature = fit_temperature(posterior.predict(task.val.x).mean, task.val.y)
        votes = posterior.predict_early(task.test.x, [6]).mean(axis=1)[0]
        scores = classification_metrics(scale_temperature(votes, temperature), task.test.y, 7)
        tables = by_predictor(result.path / "figures" / "early_decisions.csv")
        assert tables["committee-scaled"]["nll"][1] == pytest.approx(scores["nll"])

    def test_stopping(self, finished):
        config, result = finished
        table = by_predictor(result.path / "figures" / "early_stopping.csv")["committee"]
        posterior, test = bisnn_pyro.load_run(result.path), build_task(config).test
        votes = posterior.predict_early(test.x, [4, 6, 8, 10, 12]).mean(axis=1)
        assert (table["threshold"][0], table["mean_step"][0]) == (0.0, 4.0)
        assert table["accuracy"][0] == (votes[0].argmax(-1) == test.y).mean()
        assert (table["threshold"][-1], table["mean_step"][-1]) == (1.0, 12.0)
        assert table["accuracy"][-1] == result.metrics["predictors"]["committee"]["accuracy"]

    def test_no_figures_means_no_figures(self, finished):
        _, result = finished
        names = {p.name for p in (result.path / "figures").iterdir()}
        assert names == {"early_decisions.csv", "early_stopping.csv"}

    def test_evaluate_writes_them_anew(self, finished):
        _, result = finished
        path = result.path / "figures" / "early_decisions.csv"
        before = path.read_bytes()
        path.unlink()
        evaluate_folder(result.path)
        assert path.read_bytes() == before


def test_one_simulation_serves_all(tmp_path, monkeypatch):
    import bisnn_pyro.inference.committee as committee

    calls = []
    original = committee._parts

    def spy(*arguments):
        calls.append(arguments)
        return original(*arguments)

    (plain,) = spikes_configs(tmp_path)
    (config,) = spikes_configs(tmp_path, overrides=[FIVE])
    path = run(config, tmp_path / "out").path
    monkeypatch.setattr(committee, "_parts", spy)
    evaluate_folder(path)
    # Four predictors, as without, and the committee on training points; four on validation points, too,
    # since this run learned nothing.
    assert len(calls) == 9
    assert plain.analysis.early_decisions == 0


def test_milliseconds_where_the_data_have_a_time_step(tmp_path):
    (config,) = spikes_configs(tmp_path)
    assert step_ms(config) is None
    assert step_ms(config.replace("data.time_step", 5.0)) == 5.0
    assert step_ms(plan("nmnist", ["bayes"])[0]) == 15.0


def test_python_callers_are_told_what_is_wrong(tmp_path):
    (config,) = spikes_configs(tmp_path)
    posterior = bisnn_pyro.load_run(run(config, tmp_path / "out").path)
    x = build_task(config).test.x
    draws = posterior.predict_early(x[:2], [3, N_STEPS], draws=6)
    np.testing.assert_array_equal(draws[-1], posterior.predict(x[:2], draws=6).draws)
    with pytest.raises(ModelError, match="beyond the burn-in of 2"):
        posterior.predict_early(x, [2])
    with pytest.raises(ModelError, match="step 13"):
        posterior.predict_early(x, [13])
    with pytest.raises(DataError, match="this run has"):
        posterior.predict_early(x, [5], predictor="moments")
    with pytest.raises(DataError, match="whole number of at least 1"):
        posterior.predict_early(x, [5], draws=0)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["analysis.early_decisions=[2, 5]"], "from 3 to 12"),
        (["analysis.early_decisions=[5, 13]"], "from 3 to 12"),
        (["analysis.early_decisions=[5, 5]"], "ascend"),
        ([FIVE, "network.burn_in=11"], "1 of 12"),
    ],
)
def test_steps_that_cannot_be(tmp_path, overrides, message):
    (config,) = spikes_configs(tmp_path, overrides=overrides)
    with pytest.raises(ConfigError, match=message):
        run(config, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("value", ["-1", "[0, 3]", "soon"])
def test_wrong_values(tmp_path, value):
    with pytest.raises(ConfigError, match=r"analysis\.early_decisions"):
        spikes_configs(tmp_path, overrides=[f"analysis.early_decisions={value}"])


def test_a_regression_has_no_decisions(tmp_path):
    (config,) = plan("curve", ["gaussian"], overrides=[FIVE, "data.n_train=20"])
    with pytest.raises(ConfigError, match="for classification,"):
        run(config, tmp_path / "out")


def test_regressions_can_be_asked_from_python(tmp_path):
    small = ["data.n_train=20", "train.epochs=1", "network.hidden=[4]", "predict.draws=2"]
    (config,) = plan("curve", ["gaussian"], overrides=[*small, "analysis.figures=false"])
    posterior = bisnn_pyro.load_run(run(config, tmp_path / "out").path)
    x = np.linspace(-1, 1, 7)[:, None]
    n_steps = posterior.encoder.n_steps
    draws = posterior.predict_early(x, [n_steps - 1, n_steps])
    assert draws.shape == (2, 2, 7)
    np.testing.assert_array_equal(draws[-1], posterior.predict(x).draws)
