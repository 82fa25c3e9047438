"""From a config to the rules that move parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from bisnn_pyro.errors import ConfigError
from bisnn_pyro.experiments.config import Config
from bisnn_pyro.experiments.own_parts import construct, import_reference, refuse_settings
from bisnn_pyro.inference import BayesianLearningRule, BiMU, SynapticGuide
from bisnn_pyro.models import SpikingGLM


def build_optimisers(
    config: Config, model: SpikingGLM, guide: SynapticGuide
) -> Sequence[torch.optim.Optimizer]:
    """Make the rule for the guide's parameters, and Adam for the model's own if it has any."""
    rule = config.rule
    synapses = list(guide.parameters())
    relaxed = config.guide.name == "relaxed"
    name = rule.name if rule.name != "auto" else ("bayesian" if relaxed else "adam")
    lr = rule.lr if rule.lr is not None else (0.1 if name == "bayesian" else 0.01)
    if name in ("bayesian", "bimu"):
        refuse_settings("rule.settings", rule.settings)
        if not relaxed:
            raise ConfigError(
                f"rule.name = {name!r} moves natural parameters; the guide {config.guide.name!r} has none. "
                "Use 'adam' or 'sgd'"
            )
    if name == "bayesian":
        optimiser: torch.optim.Optimizer = BayesianLearningRule(
            synapses, lr, momentum=rule.momentum, max_step=rule.max_step
        )
    elif name == "bimu":
        optimiser = build_bimu(config, model, synapses)
    elif name == "adam":
        optimiser = construct("[rule]", torch.optim.Adam, synapses, lr, **rule.settings)
    elif name == "sgd":
        sgd = {"momentum": rule.momentum, **rule.settings}
        optimiser = construct("[rule]", torch.optim.SGD, synapses, lr, **sgd)
    else:
        own = import_reference(name, "rule.name")
        optimiser = construct("[rule]", own, synapses, lr=lr, **rule.settings)
    others = list(model.parameters())
    return [optimiser, torch.optim.Adam(others, rule.other_lr)] if others else [optimiser]


def build_bimu(config: Config, model: SpikingGLM, synapses: list[torch.nn.Parameter]) -> BiMU:
    """Make the BiMU rule, from the paper's loss (a sum over the mini-batch) to ours.

    Raises:
        ConfigError: if the KL would be counted twice, or the data set's size is not known.
    """
    rule, train = config.rule, config.train
    if train.kl_weight or train.kl_weight_end:
        raise ConfigError(
            "rule.name = 'bimu' pulls to the prior by itself (rule.memory), and train.kl_weight would do so "
            "again: set train.kl_weight = 0 and leave train.kl_weight_end out"
        )
    size = model.dataset_size
    if size is None:
        raise ConfigError("rule.name = 'bimu' needs the data set's size: set model.dataset_size first")
    return BiMU(
        synapses,
        1.0 if rule.lr is None else rule.lr,
        memory=rule.memory or size,
        likelihood_multiplier=rule.likelihood_multiplier * min(train.batch_size, size) / size,
        kl_multiplier=rule.kl_multiplier,
        lr_max=rule.lr_max,
        prior=0.5 * math.log(config.prior.p / (1 - config.prior.p)),
    )
