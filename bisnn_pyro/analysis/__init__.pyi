from bisnn_pyro.analysis.calibration.bins import (
    ReliabilityBins as ReliabilityBins,
    bin_confidences as bin_confidences,
    class_forecasts as class_forecasts,
    reliability_bins as reliability_bins,
    top_label as top_label,
)
from bisnn_pyro.analysis.calibration.brier import (
    BrierDecomposition as BrierDecomposition,
    CorpDecomposition as CorpDecomposition,
    brier_decomposition as brier_decomposition,
    calibration_metrics as calibration_metrics,
    corp_decomposition as corp_decomposition,
)
from bisnn_pyro.analysis.calibration.curves import (
    ConsistencyBand as ConsistencyBand,
    IsotonicCurve as IsotonicCurve,
    bin_consistency as bin_consistency,
    isotonic_consistency as isotonic_consistency,
    isotonic_curve as isotonic_curve,
)
from bisnn_pyro.analysis.calibration.errors import (
    classwise_calibration_error as classwise_calibration_error,
    debiased_calibration_error as debiased_calibration_error,
    ece_interval as ece_interval,
    ece_of_calibrated as ece_of_calibrated,
    expected_calibration_error as expected_calibration_error,
    maximum_calibration_error as maximum_calibration_error,
    smooth_calibration_error as smooth_calibration_error,
    smooth_error as smooth_error,
)
from bisnn_pyro.analysis.calibration.temperature import (
    LIMITS as LIMITS,
    fit_temperature as fit_temperature,
    scale_temperature as scale_temperature,
)
from bisnn_pyro.analysis.comparison import (
    MARGIN as MARGIN,
    Difference as Difference,
    holm as holm,
    over_folds as over_folds,
    over_seeds as over_seeds,
    over_seeds_and_points as over_seeds_and_points,
    verdicts as verdicts,
)
from bisnn_pyro.analysis.energy import (
    COUNTING_READOUT as COUNTING_READOUT,
    FILTERED_READOUT as FILTERED_READOUT,
    HOROWITZ_45NM as HOROWITZ_45NM,
    LATERAL as LATERAL,
    SINGLE_STEP as SINGLE_STEP,
    SPIKE_RESPONSE as SPIKE_RESPONSE,
    WORD as WORD,
    LayerActivity as LayerActivity,
    OperationEnergies as OperationEnergies,
    UnitUpdate as UnitUpdate,
    Work as Work,
    conv_fan_out as conv_fan_out,
    non_spiking_inference as non_spiking_inference,
    spiking_inference as spiking_inference,
)
from bisnn_pyro.analysis.ensembles import (
    EnsembleEquivalent as EnsembleEquivalent,
    ensemble_equivalent as ensemble_equivalent,
    ensemble_mean as ensemble_mean,
    seed_sets as seed_sets,
)
from bisnn_pyro.analysis.figures.inputs import (
    find_gaps as find_gaps,
    plot_predictive_map as plot_predictive_map,
    plot_regression_band as plot_regression_band,
)
from bisnn_pyro.analysis.figures.posterior import (
    plot_natural_parameters as plot_natural_parameters,
    plot_posterior_bars as plot_posterior_bars,
)
from bisnn_pyro.analysis.figures.reliability import (
    plot_calibration_curve as plot_calibration_curve,
    plot_reliability as plot_reliability,
    plot_reliability_seeds as plot_reliability_seeds,
)
from bisnn_pyro.analysis.figures.scores import (
    EARLY_PANELS as EARLY_PANELS,
    plot_committee_size as plot_committee_size,
    plot_cost_bars as plot_cost_bars,
    plot_early_decisions as plot_early_decisions,
    plot_early_stopping as plot_early_stopping,
    plot_forest as plot_forest,
    plot_shift as plot_shift,
    plot_sweep as plot_sweep,
    plot_training_curves as plot_training_curves,
)
from bisnn_pyro.analysis.figures.spikes import (
    Picture as Picture,
    plot_interval_histogram as plot_interval_histogram,
    plot_recordings as plot_recordings,
    plot_spike_raster as plot_spike_raster,
)
from bisnn_pyro.analysis.figures.style import (
    DOUBLE_WIDTH as DOUBLE_WIDTH,
    SINGLE_WIDTH as SINGLE_WIDTH,
    Plot as Plot,
    line_style as line_style,
    new_figure as new_figure,
    paper_style as paper_style,
    save_columns as save_columns,
    save_figure as save_figure,
)
from bisnn_pyro.analysis.figures.uncertainty import (
    LEAST_KEPT as LEAST_KEPT,
    plot_conformal_sets as plot_conformal_sets,
    plot_entropy_split as plot_entropy_split,
    plot_risk_coverage as plot_risk_coverage,
    plot_roc as plot_roc,
    plot_score_histogram as plot_score_histogram,
)
from bisnn_pyro.analysis.intervals import (
    MeanInterval as MeanInterval,
    calibrated_outcomes as calibrated_outcomes,
    format_interval as format_interval,
    mean_interval as mean_interval,
    paired_bootstrap as paired_bootstrap,
    paired_difference as paired_difference,
    wilson_interval as wilson_interval,
)
from bisnn_pyro.analysis.learning import (
    DID_NOT_LEARN as DID_NOT_LEARN,
    learning_warnings as learning_warnings,
    not_learned as not_learned,
)
from bisnn_pyro.analysis.pac_bayes import (
    PacBayesBound as PacBayesBound,
    binary_kl as binary_kl,
    held_out_bound as held_out_bound,
    invert_kl as invert_kl,
    pac_bayes_bound as pac_bayes_bound,
)
from bisnn_pyro.analysis.posterior.elpd import (
    Elpd as Elpd,
    compare_models as compare_models,
    held_out_elpd as held_out_elpd,
    loo_elpd as loo_elpd,
)
from bisnn_pyro.analysis.posterior.inference_data import (
    PredictedPoints as PredictedPoints,
    from_datasets as from_datasets,
    group as group,
    group_names as group_names,
    load_idata as load_idata,
    make_idata as make_idata,
    run_inference_data as run_inference_data,
    save_idata as save_idata,
    stack_seeds as stack_seeds,
    uses_datatree as uses_datatree,
)
from bisnn_pyro.analysis.posterior.seed_agreement import (
    SeedAgreement as SeedAgreement,
    compare_seeds as compare_seeds,
    rank_counts as rank_counts,
    seed_agreement_table as seed_agreement_table,
)
from bisnn_pyro.analysis.posterior.spikes import (
    fano_factor as fano_factor,
    firing_rate as firing_rate,
    interval_counts as interval_counts,
    interval_moments as interval_moments,
    spike_check_data as spike_check_data,
    train_statistics as train_statistics,
)
from bisnn_pyro.analysis.posterior.synapses import (
    UNDECIDED as UNDECIDED,
    LayerPosterior as LayerPosterior,
    natural_parameters as natural_parameters,
    summarise_posterior as summarise_posterior,
)
from bisnn_pyro.analysis.scores.constant import (
    CONSTANT as CONSTANT,
    ConstantPredictor as ConstantPredictor,
    score_rows as score_rows,
)
from bisnn_pyro.analysis.scores.curves import (
    committee_size_scores as committee_size_scores,
    early_scores as early_scores,
    early_stopping as early_stopping,
)
from bisnn_pyro.analysis.scores.points import (
    accuracy as accuracy,
    brier_score as brier_score,
    classification_metrics as classification_metrics,
    classification_points as classification_points,
    mixture_cdf as mixture_cdf,
    mixture_log_density as mixture_log_density,
    mixture_quantile as mixture_quantile,
    negative_log_likelihood as negative_log_likelihood,
    regression_metrics as regression_metrics,
    regression_points as regression_points,
)
from bisnn_pyro.analysis.tables import (
    MISSING as MISSING,
    Digits as Digits,
    PrintedTable as PrintedTable,
    average_seeds as average_seeds,
    check_suffix as check_suffix,
    plain_table as plain_table,
    printed_table as printed_table,
    results_table as results_table,
    summarise as summarise,
    write_table as write_table,
)
from bisnn_pyro.analysis.uncertainty.decisions import (
    RiskCoverage as RiskCoverage,
    SetCoverage as SetCoverage,
    conformal_sets as conformal_sets,
    conformal_threshold as conformal_threshold,
    risk_coverage as risk_coverage,
    selective_accuracy as selective_accuracy,
    set_coverage as set_coverage,
)
from bisnn_pyro.analysis.uncertainty.detection import (
    RocCurve as RocCurve,
    aupr as aupr,
    auroc as auroc,
    detection_scores as detection_scores,
    fpr_at_tpr as fpr_at_tpr,
    roc_curve as roc_curve,
)
from bisnn_pyro.analysis.uncertainty.entropy import (
    disagreement as disagreement,
    expected_entropy as expected_entropy,
    mutual_information as mutual_information,
    predictive_entropy as predictive_entropy,
    predictive_variance as predictive_variance,
    vote_variance as vote_variance,
)
from bisnn_pyro.analysis.votes import HasMembers as HasMembers, Voting as Voting, class_votes as class_votes
