"""What a prompt shows of studies and comparisons: their tables, and no arrays."""

from pathlib import Path

import numpy as np
import pandas as pd

from bisnn_pyro.analysis import PrintedTable
from bisnn_pyro.results import Comparison
from bisnn_pyro.results.studies import Study

TABLE = PrintedTable(["method", "nll"], [["bayes", "0.3"]], [False, True], ["a note"], [{"nll": 0.3}])
PLAIN = ["method  nll", "------  ---", "bayes   0.3", "a note"]


def test_study_shows_its_table_and_where_the_files_are():
    rows = pd.DataFrame({"nll": np.linspace(0, 1, 1000)})
    assert repr(Study(TABLE, rows)).splitlines() == PLAIN
    files = (Path("out/shift.csv"), Path("out/figures/shift-nll.pdf"))
    assert repr(Study(TABLE, rows, files)).splitlines() == [*PLAIN, "2 files in out"]
    assert repr(Study(TABLE, rows, files[:1])).splitlines()[-1] == "1 file in out"


def test_comparison_shows_both_tables():
    assert repr(Comparison(TABLE, None, ())).splitlines() == PLAIN
    both = repr(Comparison(TABLE, TABLE, ())).splitlines()
    assert both == [*PLAIN, "", *PLAIN]
