# The public names at the root: __init__.py reads this file.
from bisnn_pyro.experiments.api import load_preset as load_preset
from bisnn_pyro.experiments.fitted import load_run as load_run
from bisnn_pyro.experiments.run import run as run
from bisnn_pyro.exports import export as export, read_export as read_export
from bisnn_pyro.inference import (
    AutoBayesianLastLayer as AutoBayesianLastLayer,
    AutoBernoulliLaplace as AutoBernoulliLaplace,
    AutoCheckpoints as AutoCheckpoints,
    AutoDropout as AutoDropout,
    AutoExpectationNormal as AutoExpectationNormal,
    AutoExpectationSign as AutoExpectationSign,
    AutoFullPrecision as AutoFullPrecision,
    AutoMeanFieldGaussian as AutoMeanFieldGaussian,
    AutoRelaxedSign as AutoRelaxedSign,
    AutoScaledLatents as AutoScaledLatents,
    AutoSignSWAG as AutoSignSWAG,
    AutoStraightThrough as AutoStraightThrough,
    AutoUniformFlips as AutoUniformFlips,
    BayesianLearningRule as BayesianLearningRule,
    BiMU as BiMU,
    ExpectationSteps as ExpectationSteps,
    GradientSteps as GradientSteps,
    Learner as Learner,
    MeanFieldELBO as MeanFieldELBO,
    Schedule as Schedule,
    TrainSettings as TrainSettings,
    encode_all as encode_all,
    exact_posterior as exact_posterior,
    posterior_draws as posterior_draws,
    predict as predict,
)
from bisnn_pyro.models import (
    BernoulliRate as BernoulliRate,
    BernoulliSteps as BernoulliSteps,
    BinaryPrior as BinaryPrior,
    CategoricalProbit as CategoricalProbit,
    CategoricalRate as CategoricalRate,
    CategoricalSteps as CategoricalSteps,
    EscapeNeuron as EscapeNeuron,
    Gaussian as Gaussian,
    NoisyDirichlet as NoisyDirichlet,
    NormalPrior as NormalPrior,
    PosteriorPrior as PosteriorPrior,
    SignNetwork as SignNetwork,
    SingleStepNeuron as SingleStepNeuron,
    SpikeTrainBernoulli as SpikeTrainBernoulli,
    SpikingGLM as SpikingGLM,
    ThresholdNeuron as ThresholdNeuron,
)
from bisnn_pyro.results import Runs as Runs, compare as compare
from bisnn_pyro.results.report import report as report
from bisnn_pyro.results.studies import compare_elpd as compare_elpd, compare_loo as compare_loo
from bisnn_pyro.results.studies.energy import energy_study as energy_study
from bisnn_pyro.results.studies.ensembles import ensembles_study as ensembles_study
from bisnn_pyro.results.studies.out_of_distribution import (
    out_of_distribution_study as out_of_distribution_study,
)
from bisnn_pyro.results.studies.posterior import (
    posterior_table as posterior_table,
    spike_checks as spike_checks,
)
from bisnn_pyro.results.studies.selective import selective_study as selective_study
from bisnn_pyro.results.studies.shift import shift_study as shift_study
from bisnn_pyro.results.studies.sweep import sweep_study as sweep_study
from bisnn_pyro.storage.manifest import accept_changed as accept_changed

__version__: str
