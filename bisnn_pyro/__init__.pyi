# The public names at the root: __init__.py reads this file.
from bisnn_pyro.experiments.api import load_preset as load_preset
from bisnn_pyro.experiments.export import export as export
from bisnn_pyro.experiments.export import read_export as read_export
from bisnn_pyro.experiments.fitted import load_run as load_run
from bisnn_pyro.experiments.run import run as run
from bisnn_pyro.inference import (
    AutoExpectationNormal as AutoExpectationNormal,
)
from bisnn_pyro.inference import (
    AutoExpectationSign as AutoExpectationSign,
)
from bisnn_pyro.inference import (
    AutoFullPrecision as AutoFullPrecision,
)
from bisnn_pyro.inference import (
    AutoMeanFieldGaussian as AutoMeanFieldGaussian,
)
from bisnn_pyro.inference import (
    AutoRelaxedSign as AutoRelaxedSign,
)
from bisnn_pyro.inference import (
    AutoStraightThrough as AutoStraightThrough,
)
from bisnn_pyro.inference import (
    BayesianLearningRule as BayesianLearningRule,
)
from bisnn_pyro.inference import (
    BiMU as BiMU,
)
from bisnn_pyro.inference import (
    ExpectationSteps as ExpectationSteps,
)
from bisnn_pyro.inference import (
    GradientSteps as GradientSteps,
)
from bisnn_pyro.inference import (
    Learner as Learner,
)
from bisnn_pyro.inference import (
    MeanFieldELBO as MeanFieldELBO,
)
from bisnn_pyro.inference import (
    Schedule as Schedule,
)
from bisnn_pyro.inference import (
    TrainSettings as TrainSettings,
)
from bisnn_pyro.inference import (
    encode_all as encode_all,
)
from bisnn_pyro.inference import (
    exact_posterior as exact_posterior,
)
from bisnn_pyro.inference import (
    posterior_draws as posterior_draws,
)
from bisnn_pyro.inference import (
    predict as predict,
)
from bisnn_pyro.models import (
    BernoulliRate as BernoulliRate,
)
from bisnn_pyro.models import (
    BernoulliSteps as BernoulliSteps,
)
from bisnn_pyro.models import (
    BinaryPrior as BinaryPrior,
)
from bisnn_pyro.models import (
    CategoricalProbit as CategoricalProbit,
)
from bisnn_pyro.models import (
    CategoricalRate as CategoricalRate,
)
from bisnn_pyro.models import (
    CategoricalSteps as CategoricalSteps,
)
from bisnn_pyro.models import (
    EscapeNeuron as EscapeNeuron,
)
from bisnn_pyro.models import (
    Gaussian as Gaussian,
)
from bisnn_pyro.models import (
    NormalPrior as NormalPrior,
)
from bisnn_pyro.models import (
    SignNetwork as SignNetwork,
)
from bisnn_pyro.models import (
    SingleStepNeuron as SingleStepNeuron,
)
from bisnn_pyro.models import (
    SpikeTrainBernoulli as SpikeTrainBernoulli,
)
from bisnn_pyro.models import (
    SpikingGLM as SpikingGLM,
)
from bisnn_pyro.models import (
    ThresholdNeuron as ThresholdNeuron,
)
from bisnn_pyro.results import Runs as Runs
from bisnn_pyro.results import compare as compare
from bisnn_pyro.results.report import report as report
from bisnn_pyro.results.studies.elpd import compare_elpd as compare_elpd
from bisnn_pyro.results.studies.elpd import compare_loo as compare_loo
from bisnn_pyro.results.studies.energy import energy_study as energy_study
from bisnn_pyro.results.studies.out_of_distribution import (
    out_of_distribution_study as out_of_distribution_study,
)
from bisnn_pyro.results.studies.posterior import posterior_table as posterior_table
from bisnn_pyro.results.studies.posterior import spike_checks as spike_checks
from bisnn_pyro.results.studies.selective import selective_study as selective_study
from bisnn_pyro.results.studies.shift import shift_study as shift_study
from bisnn_pyro.results.studies.sweep import sweep_study as sweep_study

__version__: str
