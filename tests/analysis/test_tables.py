import csv
import math

import numpy as np
import pytest
import scipy.stats

from bisnn_pyro.analysis import (
    average_seeds,
    mean_interval,
    printed_table,
    results_table,
    summarise,
    write_table,
)
from bisnn_pyro.errors import DataError, InputError

ACCURACY = {"bayes": [0.98, 0.99, 1.0], "full_precision": [0.9, 0.95, 0.97]}
ROWS = [
    {"method": method, "predictor": "mode", "seed": seed, "accuracy": value, "nll": 0.1 * seed}
    for method, values in ACCURACY.items()
    for seed, value in enumerate(values)
]
ONE = [{"method": "bayes", "predictor": "mode", "seed": 0, "accuracy": 0.5, "rmse": None}]


def test_seeds_become_a_mean_with_an_interval():
    lines = summarise(ROWS)
    assert [line["method"] for line in lines] == ["bayes", "full_precision"]
    assert list(lines[0]) == ["method", "predictor", "n", "accuracy", "nll"]
    for line in lines:
        assert line["n"] == 3
        assert line["accuracy"] == mean_interval(ACCURACY[line["method"]])
    half = scipy.stats.t.ppf(0.95, 2) * scipy.stats.sem(ACCURACY["bayes"])
    assert summarise(ROWS, level=0.9)[0]["accuracy"].half_width == pytest.approx(half)


def test_plain_text():
    assert results_table(ROWS).splitlines() == [
        "method          predictor  n       accuracy            nll",
        "--------------  ---------  -  -------------  -------------",
        "bayes           mode       3  0.990 ± 0.025  0.100 ± 0.248",
        "full_precision  mode       3  0.940 ± 0.090  0.100 ± 0.248",
        "mean ± half-width of the 95 % Student t interval over n seeds",
    ]


def test_one_seed_has_no_interval_and_missing_scores_a_dash():
    assert results_table(ONE).splitlines() == [
        "method  predictor  n  accuracy  rmse",
        "------  ---------  -  --------  ----",
        "bayes   mode       1     0.500     –",
    ]
    assert "inf" in results_table([{**ONE[0], "nll": math.inf}])


def test_a_score_missing_for_some_seeds_states_its_own_n():
    rows = [dict(row) for row in ROWS[:3]]
    rows[0]["nll"] = math.nan
    del rows[1]["nll"]
    assert "0.200 (n=1)" in results_table(rows)


def test_columns_can_be_chosen():
    assert results_table(ROWS, ["nll"]).splitlines()[0].split() == ["method", "predictor", "n", "nll"]


def test_digits_by_column_and_counts_without_spread():
    rows = [{**row, "bits": 4096, "spikes": 10 + row["seed"]} for row in ROWS[:3]]
    digits = {"accuracy": 4, "bits": 0, "spikes": 1}
    line = results_table(rows, ["accuracy", "nll", "bits", "spikes"], digits=digits).splitlines()[2]
    assert line.split("  ")[-4:] == ["0.9900 ± 0.0248", "0.100 ± 0.248", "4096", "11.0 ± 2.5"]


def test_csv_holds_full_numbers(tmp_path):
    path = write_table([*ROWS, *[{**ONE[0], "method": "ebp"}]], tmp_path / "new" / "t.csv")
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    for line, (method, values) in zip(lines[:2], ACCURACY.items(), strict=True):
        interval = mean_interval(values)
        assert (line["method"], line["n"]) == (method, "3")
        assert float(line["accuracy"]) == interval.mean
        assert float(line["accuracy_half_width"]) == interval.half_width
    assert (lines[2]["accuracy"], lines[2]["accuracy_half_width"], lines[2]["nll"]) == ("0.5", "", "")


def test_markdown(tmp_path):
    lines = (
        write_table([{**ONE[0], "method": "a|b"}], tmp_path / "t.md").read_text(encoding="utf-8").splitlines()
    )
    assert lines == [
        "| method | predictor | n | accuracy | rmse |",
        "| --- | --- | ---: | ---: | ---: |",
        r"| a\|b | mode | 1 | 0.500 | – |",
    ]
    assert "Student t" in write_table(ROWS, tmp_path / "s.md").read_text(encoding="utf-8")


def test_latex_is_booktabs_and_escaped(tmp_path):
    text = write_table(ROWS, tmp_path / "t.tex").read_text(encoding="utf-8")
    assert text.splitlines() == [
        "% mean ± half-width of the 95 % Student t interval over n seeds",
        r"\begin{tabular}{llrrr}",
        r"\toprule",
        r"method & predictor & n & accuracy & nll \\",
        r"\midrule",
        r"bayes & mode & 3 & 0.990 $\pm$ 0.025 & 0.100 $\pm$ 0.248 \\",
        r"full\_precision & mode & 3 & 0.940 $\pm$ 0.090 & 0.100 $\pm$ 0.248 \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]
    special = write_table([{**ONE[0], "method": "a_b%c\\d{e}"}], tmp_path / "e.tex").read_text(
        encoding="utf-8"
    )
    assert r"a\_b\%c\textbackslash{}d\{e\} & mode & 1 & 0.500 & -- \\" in special


def test_wrong_input_is_named(tmp_path):
    with pytest.raises(InputError, match=r"'\.xls' is not known"):
        write_table(ROWS, tmp_path / "t.xls")
    with pytest.raises(DataError, match="no rows"):
        results_table([])
    with pytest.raises(DataError, match=r"\(bayes, mode\) have the seeds \[0, 0\]"):
        results_table([ROWS[0], ROWS[0]])
    assert not list(tmp_path.iterdir())


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


ROWS_PRINTING = [{"method": "bayes", "seed": 0, "accuracy": 0.5}]


def test_prompt_and_notebook_show_the_table():
    table = printed_table(ROWS_PRINTING)
    assert repr(table) == table.plain()
    assert table._repr_markdown_() == table.markdown()
    assert "| bayes | 1 | 0.500 |" in table._repr_markdown_()
