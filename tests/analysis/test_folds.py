"""Cross-validation in tables: seeds are averaged within a fold, means and intervals are over folds."""

import math

import numpy as np
import pytest
import scipy.stats

from bisnn_pyro.analysis import average_seeds, results_table, summarise, write_table
from bisnn_pyro.errors import DataError

SCORES = {0: [0.9, 0.7], 1: [0.6, 0.6], 2: [0.5, 0.9]}


def rows(method="ebp", scores=SCORES, n_folds=3):
    return [
        {"method": method, "predictor": "mode", "seed": s, "fold": k, "n_folds": n_folds, "accuracy": value}
        for k, values in scores.items()
        for s, value in enumerate(values)
    ]


def test_seeds_are_averaged_and_folds_are_what_the_interval_is_over():
    (line,) = summarise(average_seeds(rows()))
    means = [0.8, 0.6, 0.7]
    assert (line["folds"], line["n"]) == ("0-2 of 3", 3)
    assert line["accuracy"].mean == pytest.approx(np.mean(means))
    half = scipy.stats.t.ppf(0.975, 2) * scipy.stats.sem(means)
    assert line["accuracy"].half_width == pytest.approx(half)


def test_the_table_names_the_folds_and_says_what_the_interval_is_over(tmp_path):
    some = {k: v for k, v in SCORES.items() if k != 1}
    averaged = average_seeds(rows() + rows("ebp-real", some))
    text = results_table(averaged).splitlines()
    assert text[0].split() == ["method", "predictor", "folds", "n", "accuracy"]
    assert "0-2 of 3" in text[2]
    assert "0,2 of 3" in text[3]
    assert text[-1] == "mean ± half-width of the 95 % Student t interval over n folds"
    header, first, _ = write_table(averaged, tmp_path / "t.csv").read_text().splitlines()
    assert header == "method,predictor,folds,n,accuracy,accuracy_half_width"
    assert first.startswith("ebp,mode,0-2 of 3,3,")


def test_a_missing_score_is_left_out_of_its_folds_mean():
    several = rows()
    several[0]["accuracy"] = math.nan
    several[2]["accuracy"] = several[3]["accuracy"] = None
    averaged = average_seeds(several)
    assert [row["accuracy"] for row in averaged] == [0.7, None, 0.7]
    assert summarise(averaged)[0]["accuracy"].n == 2


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (rows() + rows(), "Fold 0 of .* has the seeds"),
        ([*rows(), {**rows()[0], "seed": 9, "n_folds": 4}], r"of \[3, 4\] folds"),
        ([*rows(), {**rows()[0], "fold": None}], "Some rows have a fold"),
    ],
)
def test_rows_that_do_not_belong_together(bad, message):
    with pytest.raises(DataError, match=message):
        average_seeds(bad)
