r"""A mixture of posteriors: several fits of one config that differ in their training seed alone.

The mixture is :math:`q = \frac1M\sum_m q_m`.  Its KL to the prior is at most the mean of the components' KLs
(convexity), and at most :math:`\ln M` nats below it: the KL that each component reports is its own, and their
mean is an upper bound.  Of point estimates it is a deep ensemble (Lakshminarayanan et al. 2017, 1612.01474).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from bisnn_pyro.errors import ConfigError
from bisnn_pyro.experiments import parts
from bisnn_pyro.experiments.config import Config, MixtureSettings, Table
from bisnn_pyro.inference import Purpose, SynapticGuide, derived_seed
from bisnn_pyro.models import SpikingGLM

KEYS = tuple(MixtureSettings.__dataclass_fields__)


@dataclass(frozen=True)
class Component:
    """One component of a mixture: what a run of its own would have fitted.

    Attributes:
        config: that of a run of its own, with its seed.
        model: its network.
        guide: its posterior.
    """

    config: Config
    model: SpikingGLM
    guide: SynapticGuide


def component_configs(config: Config, *, trust: bool = False) -> list[Config]:
    """Return the config of each component, as a run of its own would have it; the first has the run's seed.

    Raises:
        ConfigError: if the settings do not make a mixture, or the committee is smaller than it.

    Example:
        >>> from bisnn_pyro import load_preset
        >>> mixture = load_preset("digits", "bayes", seed=3, guide={"components": 2, "seeds": [3, 4]})
        >>> [one.seed for one in component_configs(mixture)]
        [3, 4]
    """
    given = {key: config.guide[key] for key in KEYS if key in config.guide}
    if not given or not parts.shared("guide", parts.find("guide", config.guide.name, trust=trust)):
        return [config]
    settings = MixtureSettings(**given)
    n = settings.components or 1
    if config.predict.get("draws", n) < n:
        raise ConfigError(
            f"predict.draws = {config.predict.draws} is less than guide.components = {n}: each component "
            "needs at least one member"
        )
    derived = [config.seed, *(derived_seed(config.seed, Purpose.COMPONENTS, m) for m in range(1, n))]
    return [alone(config, seed) for seed in (settings.seeds or derived)]


def alone(config: Config, seed: int) -> Config:
    """Return the config of one component."""
    guide = {key: value for key, value in config.guide.items() if key not in KEYS}
    return replace(config, guide=Table(guide), seed=seed)
