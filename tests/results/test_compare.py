"""`bisnn compare`: its numbers recomputed from the run folders, its files, and what it refuses."""

import json
import shutil

import numpy as np
import pytest
import scipy.stats
import xarray as xr

from bisnn_pyro.analysis import over_seeds_and_points, verdicts
from bisnn_pyro.errors import ConfigError, InputError, RunFolderError
from bisnn_pyro.experiments.batch import plan, run_experiment
from bisnn_pyro.experiments.store import Store
from bisnn_pyro.results import Runs, compare
from bisnn_pyro.results.report.training import agreement
from tests.experiments.numbers import read_rows
from tests.results.changing import change_config, change_metrics, change_targets

METHODS = ("bayes", "straight-through")
PREDICTORS = [
    ("bayes", "committee"),
    ("bayes", "mode"),
    ("bayes", "mean"),
    ("bayes", "pruned"),
    ("straight-through", "mode"),
]
LINES = [(method, predictor + end) for method, predictor in PREDICTORS for end in ("", "-scaled")]


def test_the_command_writes_scores_over_seeds(finished, bisnn, tmp_path):
    out = tmp_path / "table.csv"
    done = bisnn("compare", finished, "--out", out)
    assert done.returncode == 0, done.stderr
    assert "table-differences.csv" in done.stdout
    *lines, constant = read_rows(out)
    assert [(line["method"], line["predictor"]) for line in lines] == LINES
    scores = json.loads((finished / "bayes-seed0" / "metrics.json").read_text())["constant"]
    assert (constant["method"], constant["predictor"], constant["n"]) == ("constant", "constant", "2")
    assert all(float(constant[name]) == pytest.approx(scores[name]) for name in ("accuracy", "nll", "ece"))
    for line in lines:
        records = [
            json.loads((finished / f"{line['method']}-seed{k}" / "metrics.json").read_text()) for k in (0, 1)
        ]
        name = line["predictor"]
        found = {m: [r["predictors"][name][m] for r in records] for m in ("accuracy", "nll", "brier", "ece")}
        found["spikes"] = [r["spikes_per_inference"][name] for r in records]
        found["train_seconds"] = [r["train_seconds"] for r in records]
        assert (line["experiment"], line["n"]) == ("tiny", "2")
        for metric, values in found.items():
            half = scipy.stats.t.ppf(0.975, 1) * scipy.stats.sem(values)
            assert float(line[metric]) == pytest.approx(np.mean(values))
            assert float(line[f"{metric}_half_width"]) == pytest.approx(half)
        assert float(line["weight_bits"]) == records[0]["weight_bits"][name]
    for word in ("committee-scaled", "weight_bits", "spikes", "Student t", "30 test points"):
        assert word in done.stdout


def bootstrap_by_hand(a, b, seed, n_resamples):
    """Resample the points of seed-averaged scores [N]."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(a), size=(n_resamples, len(a)))
    return np.quantile([(a[d] - b[d]).mean() for d in drawn], [0.025, 0.975])


def test_paired_differences_from_the_inference_data(finished, tmp_path):
    # The draws of the first predictors, whose votes are stored apart.
    probs, y = {}, None
    for method in METHODS:
        trees = [xr.open_datatree(finished / f"{method}-seed{k}" / "inference_data.nc") for k in (0, 1)]
        probs[method] = [t["predictions"]["y_prob"].mean(("chain", "draw")).values for t in trees]
        y = trees[0]["predictions_constant_data"]["y"].values.astype(int)
    points = np.arange(len(y))
    scores = {
        method: {
            "accuracy": np.array([p.argmax(-1) == y for p in parts], float),
            "nll": np.array([-np.log(p[points, y]) for p in parts]),
            "brier": np.array([((p - np.eye(2)[y]) ** 2).sum(-1) for p in parts]),
        }
        for method, parts in probs.items()
    }
    result = compare([finished], tmp_path / "t.csv")
    lines = {line["difference"]: line for line in read_rows(tmp_path / "t-differences.csv")}
    assert len(lines) == len(LINES) - 1
    line = lines["bayes committee - straight-through mode"]
    assert line["n_points"] == "30"
    for metric in ("accuracy", "nll", "brier"):
        a, b = scores["bayes"][metric], scores["straight-through"][metric]
        found = over_seeds_and_points(a - b)
        expected = [(a - b).mean(), *found.interval(0.95)]
        assert [float(line[metric + end]) for end in ("", "_low", "_high")] == pytest.approx(
            expected, abs=1e-6
        )
        if metric == "nll":
            assert float(line["nll_p"]) == pytest.approx(found.p_value, abs=1e-6)
            assert line["verdict"] == verdicts({"": found})[""]
    # A calibration error is no mean over points: over seeds alone.
    records = [
        [json.loads((finished / f"{m}-seed{k}" / "metrics.json").read_text()) for k in (0, 1)]
        for m in METHODS
    ]
    ours = [record["predictors"]["committee"]["ece"] for record in records[0]]
    theirs = [record["predictors"]["mode"]["ece"] for record in records[1]]
    interval = scipy.stats.ttest_rel(ours, theirs).confidence_interval(0.95)
    assert [float(line["ece_low"]), float(line["ece_high"])] == pytest.approx([interval.low, interval.high])
    assert "same 2 training seeds and 30 test points" in result.differences.notes[0]


def test_a_single_seed_has_a_bootstrap_of_the_points(finished, tmp_path):
    paths = [finished / f"{method}-seed0" for method in METHODS]
    result = compare(paths, tmp_path / "t.csv", n_resamples=200, seed=4)
    (line,) = [
        one
        for one in read_rows(tmp_path / "t-differences.csv")
        if one["difference"] == "bayes committee - straight-through mode"
    ]
    stores = [Store.open(path) for path in paths]
    y, probs = stores[0].targets, [s.votes(p) for s, p in zip(stores, ("committee", "mode"), strict=True)]
    a, b = (-np.log(p[np.arange(30), y]) for p in probs)
    low, high = bootstrap_by_hand(a, b, 4, 200)
    found = [float(line["nll" + end]) for end in ("", "_low", "_high")]
    assert found == pytest.approx([(a - b).mean(), low, high], abs=1e-6)
    assert "ece" not in line  # a biased score, which no bootstrap of points suits
    assert "verdict" not in line
    assert "200 resamples, seed 4" in result.differences.plain()


def test_repeated_folds_have_the_corrected_resampled_t(finished, tmp_path):
    # Two folds, two repeats: another division for each training seed.
    runs, nll = tmp_path / "repeated", {name: [] for name in METHODS}
    for division in (0, 1):
        for fold in (0, 1):
            for name in METHODS:
                folder = shutil.copytree(
                    finished / f"{name}-seed{(division + fold) % 2}",
                    runs / f"{name}-fold{fold}-seed{division}",
                )
                keys = {"data__fold": fold, "data__n_folds": 2, "data__seed": division, "seed": division}
                change_config(folder, **keys)

                def change(record, shift=0.01 * (division + 2 * fold) * (name == "bayes")):
                    for scores in record["predictors"].values():
                        scores["nll"] += shift

                change_metrics(folder, change)
                first = next(iter(json.loads((folder / "metrics.json").read_text())["predictors"].values()))
                nll[name].append(first["nll"])
    result = compare([runs], tmp_path / "t.csv")
    rows = {row["difference"]: row for row in read_rows(tmp_path / "t-differences.csv")}
    line = rows["bayes committee - straight-through mode"]
    gaps = np.subtract(*nll.values())
    half = scipy.stats.t.ppf(0.975, 3) * np.sqrt((1 / 4 + 1) * gaps.var(ddof=1))
    found = [float(line["nll" + end]) for end in ("", "_low", "_high")]
    assert found == pytest.approx([gaps.mean(), gaps.mean() - half, gaps.mean() + half], abs=1e-6)
    assert (line["n"], line["n_points"]) == ("4", "60")
    for words in ("corrected resampled t", "1/J + 1/1", "J = 4 test sets", "data.seed"):
        assert words in result.differences.notes[0]
    # Figures show one repeat, whose test points are the same for all.
    assert Runs([runs]).votes()["bayes (committee)"].sizes == {"seed": 1, "point": 60, "class": 2}
    assert agreement(Runs([runs])) is None  # seeds with other test points do not pair
    shutil.rmtree(runs / "bayes-fold1-seed1")
    with pytest.raises(RunFolderError, match="bayes of tiny with seed 1 lacks the folds 1"):
        compare([runs])


def test_every_line_states_trainings_networks_and_bits(finished, tmp_path):
    compare([finished], tmp_path / "t.csv")
    *lines, constant = read_rows(tmp_path / "t.csv")
    assert constant["trainings"] == ""  # it was not trained
    for line in lines:
        assert float(line["trainings"]) == 1
        assert float(line["networks"]) == (4 if line["predictor"].startswith("committee") else 1)
        assert float(line["weight_bits"]) > 0


def test_differences_add_up_with_the_table(finished, tmp_path):
    compare([finished], tmp_path / "t.csv", n_resamples=10)
    table = {(line["method"], line["predictor"]): line for line in read_rows(tmp_path / "t.csv")}
    reference = table["bayes", "committee"]
    for line, (method, predictor) in zip(read_rows(tmp_path / "t-differences.csv"), LINES[1:], strict=True):
        assert line["difference"] == f"bayes committee - {method} {predictor}"
        for metric in ("accuracy", "nll", "brier"):
            expected = float(reference[metric]) - float(table[method, predictor][metric])
            assert float(line[metric]) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("suffix", ["md", "tex"])
def test_other_formats_hold_what_the_terminal_shows(finished, tmp_path, suffix):
    result = compare([finished / "bayes-seed0", finished], tmp_path / f"t.{suffix}", n_resamples=10)
    assert [path.name for path in result.files] == [f"t.{suffix}", f"t-differences.{suffix}"]
    for path, table in zip(result.files, (result.scores, result.differences), strict=True):
        text = path.read_text(encoding="utf-8")
        assert text == (table.markdown() if suffix == "md" else table.latex())
        rows = [line for line in text.splitlines() if "scaled" in line]
        assert len(rows) == sum("scaled" in line for line in table.plain().splitlines())


def test_reference_and_single_lines(finished):
    result = compare([finished], reference="straight-through", n_resamples=10)
    assert result.differences.body[0][0] == "straight-through mode - bayes committee"
    with pytest.raises(ConfigError, match="'bays' is not a method of these runs; they have bayes, straight"):
        compare([finished], reference="bays")
    one = compare([finished / "straight-through-seed1"], n_resamples=10)
    assert [row[3] for row in one.scores.body] == ["1", "1", "1"]
    assert "±" not in one.scores.plain()


def test_experiments_are_told_apart(finished, runs):
    for folder in runs.iterdir():
        if folder.name != "summary":
            change_config(folder, experiment="other")
    result = compare([finished, runs], n_resamples=10)
    assert len(result.scores.body) == 2 * (len(LINES) + 1)  # and the constant predictors
    same = [row for row in result.differences.body if row[0].endswith("- other bayes committee")]
    assert same[0][1:] == ["0.0000 [0.0000, 0.0000]"] * 4 + ["no different"]


def test_folds_are_pooled_point_by_point(finished, runs, tmp_path):
    for name in METHODS:
        for k in (0, 1):
            change_config(runs / f"{name}-seed{k}", data__fold=k, data__n_folds=2, seed=0)
        # The second fold has other test points.
        change_targets(runs / f"{name}-seed1", 1 - Store.open(runs / f"{name}-seed1").targets)
    result = compare([runs], n_resamples=10)
    assert result.scores.header[3] == "folds"
    assert result.scores.body[0][3:5] == ["0-1 of 2", "2"]
    assert "60 test points" in result.differences.notes[0]
    shutil.rmtree(runs / "bayes-seed1")
    with pytest.raises(RunFolderError, match="bayes of tiny with seed 0 lacks the folds 1"):
        compare([runs])
    with pytest.raises(RunFolderError, match="only one belongs to a cross-validation"):
        compare([runs, finished])


def test_a_regression_has_its_own_scores(curves, tmp_path):
    result = compare(curves, tmp_path / "t.csv", n_resamples=50)
    assert result.scores.header[4:7] == ["rmse", "nll", "coverage90"]
    table = {(line["method"], line["predictor"]): line for line in read_rows(tmp_path / "t.csv")}
    for line in read_rows(tmp_path / "t-differences.csv"):
        other = table[tuple(line["difference"].split(" - ")[1].split())]
        for metric in ("rmse", "nll", "coverage90"):
            expected = float(table["bayes", "committee"][metric]) - float(other[metric])
            assert float(line[metric]) == pytest.approx(expected, abs=1e-5)
            assert float(line[f"{metric}_low"]) <= float(line[f"{metric}_high"])


def test_a_regression_has_no_temperature(tmp_path):
    (config,) = plan("curve", ["bayes"], overrides=["analysis.temperature_scaling=true"])
    with pytest.raises(ConfigError, match="temperature_scaling is for classification"):
        run_experiment([config], tmp_path / "scaled")
    assert not (tmp_path / "scaled").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--out", "t.xls"], "'.xls' is not known"),
        (["nowhere"], "nowhere is not a folder"),
        (["--reference", "bays"], "they have bayes, straight-through"),
        (["--n-boot", "0"], "--n-boot"),
    ],
)
def test_bad_arguments_exit_with_2(finished, arguments, words, bisnn):
    done = bisnn("compare", finished, *arguments)
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_folders_without_finished_runs_are_refused(runs, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(RunFolderError, match="and holds none"):
        compare([empty])
    folder = runs / "bayes-seed1"
    (folder / "checkpoint").mkdir()
    (folder / "checkpoint" / "state.safetensors").write_bytes(b"")
    with pytest.raises(RunFolderError, match=r"bayes-seed1 is not finished: it was interrupted.*--resume"):
        compare([runs])
    shutil.rmtree(folder / "checkpoint")
    (folder / "inference_data.nc").write_bytes(b"nonsense")
    with pytest.raises(RunFolderError, match=r"inference_data\.nc was edited or damaged"):
        compare([runs])
    (folder / "inference_data.nc").unlink()
    with pytest.raises(RunFolderError, match=r"missing; `bisnn evaluate .*bayes-seed1` writes it"):
        compare([runs])
    (folder / "metrics.json").unlink()
    with pytest.raises(RunFolderError, match=r"bayes-seed1.metrics\.json is missing"):
        compare([runs])
    assert compare([runs / "bayes-seed0"], n_resamples=5).scores.body


def test_predictions_that_are_not_of_these_metrics_are_refused(runs):
    def add(record):
        record["predictors"]["median"] = record["predictors"]["mode"]

    change_metrics(runs / "bayes-seed0", add)
    with pytest.raises(RunFolderError, match=r"inference_data.nc lacks median"):
        compare([runs])


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda f: change_config(f, data__name="digits"), "the data are 'two-moons' and 'digits'"),
        (lambda f: change_config(f, data__noise=0.5), r"data\.noise differ, and so may"),
        (lambda f: change_targets(f, np.zeros(30, int)), "test points differ: 15 targets of 30"),
        (lambda f: change_targets(f, np.zeros(20, int)), "30 and 20 test points"),
        (
            lambda f: change_metrics(f, lambda m: m.update(predictors={"mode": {"rmse": 1.0}})),
            "one is a classification, the other a regression",
        ),
        (lambda f: change_config(f, analysis__bins=5), r"analysis\.bins differs"),
        (lambda f: change_config(f, train__epochs=9), r"other settings \(train\.epochs\)"),
        (lambda f: change_config(f, seed=0), "the same experiment and method and seed"),
    ],
)
def test_runs_that_do_not_belong_together_are_refused(runs, spoil, words):
    spoil(runs / "straight-through-seed1")
    with pytest.raises(InputError, match=words) as error:
        compare([runs])
    assert "straight-through-seed1" in str(error.value)


def test_settings_that_leave_the_test_points_alone_are_no_obstacle(runs):
    for k in (0, 1):
        change_config(runs / f"bayes-seed{k}", data__n_train=20, analysis__resolution=9)
    assert compare([runs], n_resamples=5).differences is not None
