"""Configs with changed keys, and what they build."""

from bisnn_pyro.experiments.build import build_encoder, build_guide, build_model, build_task
from bisnn_pyro.experiments.resolve import load_source, resolve
from bisnn_pyro.toml import parse_overrides


def change_config(source, *overrides, method="bayes", seed=None, trust=False):
    """Return a source's config of one method with ``table.key=value`` overrides."""
    changes = parse_overrides(overrides)
    return resolve(load_source(source), method, overrides=changes, seed=seed, trust=trust)


def built(config, trust=False):
    """Return a config's task, encoder, network and guide."""
    task = build_task(config, trust=trust)
    encoder = build_encoder(config, task, trust=trust)
    model = build_model(config, task, encoder, trust=trust)
    return task, encoder, model, build_guide(config, model, trust=trust)
