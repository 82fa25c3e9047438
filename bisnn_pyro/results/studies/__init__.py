"""Studies of finished runs: each a function from runs to a labelled table and its figures."""

from bisnn_pyro.results.studies.energy import energy_study
from bisnn_pyro.results.studies.ensembles import ensembles_study
from bisnn_pyro.results.studies.out_of_distribution import out_of_distribution_study
from bisnn_pyro.results.studies.posterior import (
    compare_elpd,
    compare_loo,
    layer_posteriors,
    posterior_table,
    spike_checks,
)
from bisnn_pyro.results.studies.selective import selective_study
from bisnn_pyro.results.studies.shift import shift_study
from bisnn_pyro.results.studies.study import Study
from bisnn_pyro.results.studies.sweep import sweep_study

__all__ = [
    "Study",
    "compare_elpd",
    "compare_loo",
    "energy_study",
    "ensembles_study",
    "layer_posteriors",
    "out_of_distribution_study",
    "posterior_table",
    "selective_study",
    "shift_study",
    "spike_checks",
    "sweep_study",
]
