"""What a prompt shows of studies, comparisons and exported networks: their tables, and no arrays."""

from pathlib import Path

import numpy as np
from bisnn_pyro.experiments.compare import Comparison
from bisnn_pyro.experiments.study import Study

from bisnn_pyro.analysis import PrintedTable
from bisnn_pyro.experiments.export.network import ExportedNetwork

TABLE = PrintedTable(["method", "nll"], [["bayes", "0.3"]], [False, True], ["a note"], [{"nll": 0.3}])
PLAIN = ["method  nll", "------  ---", "bayes   0.3", "a note"]


def test_study_shows_its_table_and_where_the_files_are():
    rows = [{"nll": value} for value in np.linspace(0, 1, 1000)]
    assert repr(Study(TABLE, rows)).splitlines() == PLAIN
    files = (Path("out/shift.csv"), Path("out/figures/shift-nll.pdf"))
    assert repr(Study(TABLE, rows, files)).splitlines() == [*PLAIN, "2 files in out"]
    assert repr(Study(TABLE, rows, files[:1])).splitlines()[-1] == "1 file in out"


def test_comparison_shows_both_tables():
    assert repr(Comparison(TABLE, None, ())).splitlines() == PLAIN
    both = repr(Comparison(TABLE, TABLE, ())).splitlines()
    assert both == [*PLAIN, "", *PLAIN]


def test_exported_network_shows_sizes_and_no_weights():
    header = {
        "experiment": "digits",
        "method": "bayes",
        "seed": 1,
        "network": "mode",
        "n_inputs": 64,
        "neuron": {"kind": "threshold"},
        "layers": [{"n_units": 100}, {"n_units": 20}],
    }
    weights = {"a.weight": np.ones((100, 64), np.int8), "b.weight": np.ones((20, 100), np.int8)}
    network = ExportedNetwork(header, weights, {"a.scale": np.ones(3, np.float32)})
    assert repr(network).splitlines() == [
        "ExportedNetwork(experiment digits, method bayes, seed 1, network mode)",
        "  network: 64 inputs -> 100 -> 20, threshold neurons",
        "  weights: 8,400 signs, 1,062 bytes with constants",
    ]
