# ruff: noqa: F401  (the imports below are for type checkers; __getattr__ does the work)
"""Scores, calibration, intervals, ArviZ data, figures and tables from the arrays of a finished run.

It knows arrays (numpy, xarray, ArviZ, matplotlib) and never torch or Pyro, and imports each only when a
name is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bisnn_pyro.analysis.brier import BrierDecomposition, brier_decomposition
    from bisnn_pyro.analysis.calibration import (
        ReliabilityBins,
        bin_confidences,
        expected_calibration_error,
        maximum_calibration_error,
        reliability_bins,
        wilson_interval,
    )
    from bisnn_pyro.analysis.calibration_scores import calibration_metrics
    from bisnn_pyro.analysis.classwise import classwise_calibration_error
    from bisnn_pyro.analysis.committee_size import committee_size_scores
    from bisnn_pyro.analysis.conformal import SetCoverage, conformal_sets, conformal_threshold, set_coverage
    from bisnn_pyro.analysis.consistency import ConsistencyBand, bin_consistency, isotonic_consistency
    from bisnn_pyro.analysis.corp import CorpDecomposition, corp_decomposition
    from bisnn_pyro.analysis.debiased import debiased_calibration_error
    from bisnn_pyro.analysis.detection import RocCurve, aupr, auroc, detection_scores, fpr_at_tpr, roc_curve
    from bisnn_pyro.analysis.early import early_scores, early_stopping
    from bisnn_pyro.analysis.ece_sampling import ece_interval, ece_of_calibrated
    from bisnn_pyro.analysis.elpd import (
        Elpd,
        held_out_elpd,
        loo_elpd,
    )
    from bisnn_pyro.analysis.energy import (
        LayerActivity,
        OperationEnergies,
        Work,
        conv_fan_out,
        non_spiking_inference,
        spiking_inference,
    )
    from bisnn_pyro.analysis.figures.calibration_curve import plot_calibration_curve
    from bisnn_pyro.analysis.figures.committee_size import plot_committee_size
    from bisnn_pyro.analysis.figures.conformal_sets import plot_conformal_sets
    from bisnn_pyro.analysis.figures.cost_bars import plot_cost_bars
    from bisnn_pyro.analysis.figures.early_decisions import plot_early_decisions, plot_early_stopping
    from bisnn_pyro.analysis.figures.entropy_split import plot_entropy_split
    from bisnn_pyro.analysis.figures.forest import plot_forest
    from bisnn_pyro.analysis.figures.interval_histogram import plot_interval_histogram
    from bisnn_pyro.analysis.figures.natural_parameters import plot_natural_parameters
    from bisnn_pyro.analysis.figures.posterior_bars import plot_posterior_bars
    from bisnn_pyro.analysis.figures.predictive_map import plot_predictive_map
    from bisnn_pyro.analysis.figures.regression_band import find_gaps, plot_regression_band
    from bisnn_pyro.analysis.figures.reliability import plot_reliability
    from bisnn_pyro.analysis.figures.reliability_seeds import plot_reliability_seeds
    from bisnn_pyro.analysis.figures.risk_coverage import plot_risk_coverage
    from bisnn_pyro.analysis.figures.roc import plot_roc
    from bisnn_pyro.analysis.figures.saving import save_columns, save_figure
    from bisnn_pyro.analysis.figures.score_curves import plot_shift, plot_sweep
    from bisnn_pyro.analysis.figures.score_histogram import plot_score_histogram
    from bisnn_pyro.analysis.figures.spike_raster import plot_spike_raster
    from bisnn_pyro.analysis.figures.style import Plot, paper_style
    from bisnn_pyro.analysis.figures.training_curves import plot_training_curves
    from bisnn_pyro.analysis.folds import average_seeds
    from bisnn_pyro.analysis.forecasts import class_forecasts, top_label
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
    from bisnn_pyro.analysis.isotonic import IsotonicCurve, isotonic_curve
    from bisnn_pyro.analysis.metrics import (
        accuracy,
        brier_score,
        classification_metrics,
        negative_log_likelihood,
        regression_metrics,
    )
    from bisnn_pyro.analysis.mixture import mixture_cdf, mixture_log_density, mixture_quantile
    from bisnn_pyro.analysis.model_comparison import compare_models
    from bisnn_pyro.analysis.paired import paired_bootstrap
    from bisnn_pyro.analysis.pointwise import classification_points, regression_points
    from bisnn_pyro.analysis.posterior_summary import (
        LayerPosterior,
        natural_parameters,
        summarise_posterior,
    )
    from bisnn_pyro.analysis.printing import PrintedTable
    from bisnn_pyro.analysis.resampling import calibrated_outcomes
    from bisnn_pyro.analysis.run_data import run_inference_data, stack_seeds
    from bisnn_pyro.analysis.seed_agreement import (
        SeedAgreement,
        compare_seeds,
        rank_counts,
        seed_agreement_table,
    )
    from bisnn_pyro.analysis.selective import RiskCoverage, risk_coverage, selective_accuracy
    from bisnn_pyro.analysis.smooth import smooth_calibration_error, smooth_error
    from bisnn_pyro.analysis.spike_checks import (
        spike_check_data,
    )
    from bisnn_pyro.analysis.spike_statistics import (
        fano_factor,
        firing_rate,
        interval_counts,
        interval_moments,
        train_statistics,
    )
    from bisnn_pyro.analysis.tables import printed_table, results_table, summarise, write_table
    from bisnn_pyro.analysis.temperature import fit_temperature, scale_temperature
    from bisnn_pyro.analysis.uncertainty import (
        disagreement,
        expected_entropy,
        mutual_information,
        predictive_entropy,
        predictive_variance,
        vote_variance,
    )

_NAMES = {
    "brier": (
        "BrierDecomposition",
        "brier_decomposition",
    ),
    "calibration_scores": ("calibration_metrics",),
    "classwise": ("classwise_calibration_error",),
    "committee_size": ("committee_size_scores",),
    "conformal": (
        "SetCoverage",
        "conformal_sets",
        "conformal_threshold",
        "set_coverage",
    ),
    "consistency": (
        "ConsistencyBand",
        "bin_consistency",
        "isotonic_consistency",
    ),
    "corp": (
        "CorpDecomposition",
        "corp_decomposition",
    ),
    "debiased": ("debiased_calibration_error",),
    "detection": (
        "RocCurve",
        "auroc",
        "aupr",
        "detection_scores",
        "fpr_at_tpr",
        "roc_curve",
    ),
    "ece_sampling": (
        "ece_interval",
        "ece_of_calibrated",
    ),
    "elpd": (
        "Elpd",
        "held_out_elpd",
        "loo_elpd",
    ),
    "energy": (
        "LayerActivity",
        "OperationEnergies",
        "Work",
        "conv_fan_out",
        "non_spiking_inference",
        "spiking_inference",
    ),
    "forecasts": (
        "class_forecasts",
        "top_label",
    ),
    "isotonic": (
        "IsotonicCurve",
        "isotonic_curve",
    ),
    "resampling": ("calibrated_outcomes",),
    "seed_agreement": (
        "SeedAgreement",
        "compare_seeds",
        "rank_counts",
        "seed_agreement_table",
    ),
    "selective": (
        "RiskCoverage",
        "risk_coverage",
        "selective_accuracy",
    ),
    "smooth": (
        "smooth_calibration_error",
        "smooth_error",
    ),
    "calibration": (
        "ReliabilityBins",
        "bin_confidences",
        "expected_calibration_error",
        "maximum_calibration_error",
        "reliability_bins",
        "wilson_interval",
    ),
    "early": ("early_scores", "early_stopping"),
    "figures.calibration_curve": ("plot_calibration_curve",),
    "figures.committee_size": ("plot_committee_size",),
    "figures.conformal_sets": ("plot_conformal_sets",),
    "figures.cost_bars": ("plot_cost_bars",),
    "figures.entropy_split": ("plot_entropy_split",),
    "figures.forest": ("plot_forest",),
    "figures.interval_histogram": ("plot_interval_histogram",),
    "figures.natural_parameters": ("plot_natural_parameters",),
    "figures.posterior_bars": ("plot_posterior_bars",),
    "figures.reliability_seeds": ("plot_reliability_seeds",),
    "figures.risk_coverage": ("plot_risk_coverage",),
    "figures.roc": ("plot_roc",),
    "figures.score_curves": ("plot_shift", "plot_sweep"),
    "figures.score_histogram": ("plot_score_histogram",),
    "figures.spike_raster": ("plot_spike_raster",),
    "figures.early_decisions": ("plot_early_decisions", "plot_early_stopping"),
    "figures.predictive_map": ("plot_predictive_map",),
    "figures.regression_band": ("find_gaps", "plot_regression_band"),
    "figures.reliability": ("plot_reliability",),
    "figures.saving": ("save_columns", "save_figure"),
    "figures.style": ("Plot", "paper_style"),
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
    "model_comparison": ("compare_models",),
    "paired": ("paired_bootstrap",),
    "pointwise": ("classification_points", "regression_points"),
    "posterior_summary": (
        "LayerPosterior",
        "natural_parameters",
        "summarise_posterior",
    ),
    "printing": ("PrintedTable",),
    "run_data": ("run_inference_data", "stack_seeds"),
    "spike_checks": ("spike_check_data",),
    "spike_statistics": (
        "fano_factor",
        "firing_rate",
        "interval_counts",
        "interval_moments",
        "train_statistics",
    ),
    "tables": ("printed_table", "results_table", "summarise", "write_table"),
    "temperature": ("fit_temperature", "scale_temperature"),
    "uncertainty": (
        "disagreement",
        "expected_entropy",
        "mutual_information",
        "predictive_entropy",
        "predictive_variance",
        "vote_variance",
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
