"""`bisnn study ensembles`: pooled votes recomputed from the stores, its costs, and what it refuses."""

import shutil
from itertools import combinations

import numpy as np
import pytest
import scipy.stats

from bisnn_pyro.analysis import classification_metrics, ensemble_equivalent
from bisnn_pyro.errors import ConfigError, RunFolderError
from bisnn_pyro.experiments.store import Store
from bisnn_pyro.results.studies import ensembles_study
from tests.experiments.numbers import read_rows
from tests.results.changing import change_config, change_votes

SEEDS = (0, 1, 2, 3)


@pytest.fixture(scope="module")
def four(finished, tmp_path_factory):
    """Four seeds of both methods, with votes that all differ; read only."""
    out, rng = tmp_path_factory.mktemp("four"), np.random.default_rng(0)
    for method in ("bayes", "straight-through"):
        for seed in SEEDS:
            folder = shutil.copytree(finished / f"{method}-seed{seed % 2}", out / f"{method}-seed{seed}")
            change_config(folder, seed=seed)
            change_votes(folder, lambda votes: 0.8 * votes + 0.2 * rng.dirichlet([1, 1], votes.shape[:-1]))
    return out


def pooled(four, method, predictor, members):
    stores = [Store.open(four / f"{method}-seed{seed}") for seed in members]
    votes = np.mean([store.votes(predictor) for store in stores], 0)
    return classification_metrics(votes, stores[0].targets, 15)


def test_scores_are_those_of_the_pooled_votes(four, tmp_path):
    study = ensembles_study(four, out=tmp_path)
    rows = read_rows(tmp_path / "ensembles-runs.csv")
    # Sizes 1, 2 and 3 of 4 seeds, for four predictors of Bayes and one of straight-through.
    assert len(rows) == 5 * (4 + 6 + 4)
    for row in rows:
        members = list(map(int, row["seeds"].split()))
        expected = pooled(four, row["method"], row["predictor"], members)
        for metric in ("accuracy", "nll", "ece"):
            assert float(row[metric]) == pytest.approx(expected[metric], abs=1e-6)
    lines = {
        (r["method"], r["predictor"], int(r["trainings"])): r for r in read_rows(tmp_path / "ensembles.csv")
    }
    one = lines["bayes", "committee", 1]
    values = [pooled(four, "bayes", "committee", [s])["nll"] for s in SEEDS]
    interval = scipy.stats.ttest_1samp(values, 0).confidence_interval(0.95)
    found = [float(one[f"nll{end}"]) for end in ("", "_low", "_high")]
    assert found == pytest.approx([np.mean(values), interval.low, interval.high], abs=1e-6)
    # Pooling cannot be worse than the mean of its members (Jensen).
    assert float(lines["bayes", "committee", 3]["nll"]) < float(one["nll"])
    assert {path.name for path in study.files} == {
        *(
            "ensembles.csv",
            "ensembles-runs.csv",
            "ensembles-scores.pdf",
            "ensembles-scores.png",
            "ensembles-scores.csv",
        )
    }


def test_trainings_networks_and_bits(four):
    frame = ensembles_study(four).table.frame.set_index(["method", "predictor", "trainings"])
    for m in (1, 2, 3):
        assert frame.loc[("bayes", "committee", m), "networks"] == 4 * m
        assert frame.loc[("straight-through", "mode", m), "networks"] == m
        bits = frame.loc[("straight-through", "mode", m), "weight_bits"]
        assert bits == m * frame.loc[("straight-through", "mode", 1), "weight_bits"]


def test_equivalents_count_networks_of_the_baseline(four):
    study = ensembles_study(four, sizes=[1, 2, 3])
    nets = {
        members: pooled(four, "straight-through", "mode", members)["nll"]
        for m in (1, 2, 3)
        for members in combinations(SEEDS, m)
    }
    ours = {(s,): pooled(four, "bayes", "committee", [s])["nll"] for s in SEEDS}
    line = study.table.frame.iloc[0]
    expected = ensemble_equivalent(ours, nets)
    assert (line["method"], line["predictor"], line["trainings"]) == ("bayes", "committee", 1)
    assert line["equivalent"] == pytest.approx(expected.size)
    assert study.table.body[0][-1] == str(expected)
    assert study.table.body[-1][-1] == ""  # the baseline itself
    without = ensembles_study([four / f"bayes-seed{s}" for s in SEEDS])
    assert {row[-1] for row in without.table.body} == {""}


def test_what_cannot_be_pooled_is_refused(four, curves, tmp_path):
    with pytest.raises(ConfigError, match="at least two seeds"):
        ensembles_study(four / "bayes-seed0")
    with pytest.raises(ConfigError, match="the same for every method"):
        ensembles_study([four / name for name in ("bayes-seed0", "bayes-seed1", "straight-through-seed0")])
    with pytest.raises(RunFolderError, match="regression"):
        ensembles_study(curves)


def test_the_command(four, bisnn, tmp_path):
    done = bisnn("study", "ensembles", four, "--sizes", "1,2", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    for words in (
        "trainings",
        "jackknife over 4 seeds",
        "30 test points",
        "not stored",
        "ensembles-scores.png",
    ):
        assert words in done.stdout
    assert bisnn("study", "ensembles", four, "--sizes", "a").returncode == 2
