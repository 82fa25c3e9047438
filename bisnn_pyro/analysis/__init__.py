# ruff: noqa: F401  (the imports below are for type checkers; __getattr__ does the work)
"""Scores, calibration, intervals, ArviZ data, figures and tables from the arrays of a finished run.

It knows arrays (numpy, xarray, ArviZ, matplotlib) and never torch or Pyro, and imports each only when a
name is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bisnn_pyro.analysis.calibration import (
        ReliabilityBins,
        bin_confidences,
        expected_calibration_error,
        maximum_calibration_error,
        reliability_bins,
        top_label,
        wilson_interval,
    )
    from bisnn_pyro.analysis.early import early_scores, early_stopping
    from bisnn_pyro.analysis.figures.early_decisions import plot_early_decisions, plot_early_stopping
    from bisnn_pyro.analysis.figures.predictive_map import plot_predictive_map
    from bisnn_pyro.analysis.figures.regression_band import find_gaps, plot_regression_band
    from bisnn_pyro.analysis.figures.reliability import plot_reliability
    from bisnn_pyro.analysis.figures.saving import save_columns, save_figure
    from bisnn_pyro.analysis.figures.style import Plot
    from bisnn_pyro.analysis.figures.training_curves import plot_training_curves
    from bisnn_pyro.analysis.folds import average_seeds
    from bisnn_pyro.analysis.inference_data import (
        from_datasets,
        group,
        group_names,
        load_idata,
        make_idata,
        save_idata,
        uses_datatree,
    )
    from bisnn_pyro.analysis.intervals import (
        MeanInterval,
        bootstrap_interval,
        format_interval,
        mean_interval,
        paired_difference,
    )
    from bisnn_pyro.analysis.metrics import (
        accuracy,
        brier_score,
        classification_metrics,
        negative_log_likelihood,
        regression_metrics,
    )
    from bisnn_pyro.analysis.mixture import mixture_cdf, mixture_log_density, mixture_quantile
    from bisnn_pyro.analysis.paired import paired_bootstrap
    from bisnn_pyro.analysis.pointwise import classification_points, regression_points
    from bisnn_pyro.analysis.printing import PrintedTable
    from bisnn_pyro.analysis.run_data import run_inference_data, stack_seeds
    from bisnn_pyro.analysis.tables import printed_table, results_table, summarise, write_table
    from bisnn_pyro.analysis.temperature import fit_temperature, scale_temperature
    from bisnn_pyro.analysis.uncertainty import (
        disagreement,
        expected_entropy,
        mutual_information,
        predictive_entropy,
        predictive_variance,
    )

_NAMES = {
    "calibration": (
        "ReliabilityBins",
        "bin_confidences",
        "expected_calibration_error",
        "maximum_calibration_error",
        "reliability_bins",
        "top_label",
        "wilson_interval",
    ),
    "early": ("early_scores", "early_stopping"),
    "figures.early_decisions": ("plot_early_decisions", "plot_early_stopping"),
    "figures.predictive_map": ("plot_predictive_map",),
    "figures.regression_band": ("find_gaps", "plot_regression_band"),
    "figures.reliability": ("plot_reliability",),
    "figures.saving": ("save_columns", "save_figure"),
    "figures.style": ("Plot",),
    "figures.training_curves": ("plot_training_curves",),
    "inference_data": (
        "from_datasets",
        "group",
        "group_names",
        "load_idata",
        "make_idata",
        "save_idata",
        "uses_datatree",
    ),
    "intervals": (
        "MeanInterval",
        "bootstrap_interval",
        "format_interval",
        "mean_interval",
        "paired_difference",
    ),
    "metrics": (
        "accuracy",
        "brier_score",
        "classification_metrics",
        "negative_log_likelihood",
        "regression_metrics",
    ),
    "folds": ("average_seeds",),
    "mixture": ("mixture_cdf", "mixture_log_density", "mixture_quantile"),
    "paired": ("paired_bootstrap",),
    "pointwise": ("classification_points", "regression_points"),
    "printing": ("PrintedTable",),
    "run_data": ("run_inference_data", "stack_seeds"),
    "tables": ("printed_table", "results_table", "summarise", "write_table"),
    "temperature": ("fit_temperature", "scale_temperature"),
    "uncertainty": (
        "disagreement",
        "expected_entropy",
        "mutual_information",
        "predictive_entropy",
        "predictive_variance",
    ),
}
_HOME = {name: module for module, names in _NAMES.items() for name in names}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    """Import a public name from its module when it is first used (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
