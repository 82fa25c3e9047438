"""Finished runs that differ in their training seed alone, merged into one mixture without training."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from bisnn_pyro.errors import RunFolderError
from bisnn_pyro.experiments.build import build_task
from bisnn_pyro.experiments.components import Component, alone, component_configs
from bisnn_pyro.experiments.config import Config, flat_keys
from bisnn_pyro.experiments.fitted import assembled, check_data, load_run, moved
from bisnn_pyro.experiments.folder import RunFolder, environment
from bisnn_pyro.experiments.run import RunResult, analyse, save, trained
from bisnn_pyro.inference import FitResult, steady_process


def merge(
    runs: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    method: str | None = None,
    overwrite: bool = False,
    data_dir: str | os.PathLike[str] | None = None,
    command: str | None = None,
    trust: bool = False,
) -> RunResult:
    """Make one mixture of finished runs: what ``guide.components`` trains, from runs that are there.

    Args:
        runs: run folders, in the order of the components; a mixture gives all of its own.
        out: folder of the runs; the mixture goes to ``<out>/<method>-seed<k>``, k the first run's seed.
        method: the name of the mixture's method; ``bayes-x5`` for five runs of ``bayes`` by default.
        overwrite: run over a folder that is there.
        data_dir: where the data are now, in place of the config's ``data.path``.
        command: the command line that started this, for the record.
        trust: whether classes of the user's own that the runs name may be imported.

    Raises:
        InputError: if there are fewer than two runs, one is not finished, they differ in more than their
            seed, two have the same seed, or the data are not those of the runs.

    Example::

        merge(["runs/digits/bayes-seed0", "runs/digits/bayes-seed1"], "runs/digits-mixtures")
    """
    folders = [RunFolder.at(path) for path in runs]
    components: list[Component] = []
    results: list[FitResult] = []
    found = [load_run(_finished(folder), trust=trust) for folder in folders]
    for folder, fitted in zip(folders, found, strict=True):
        _check_alike(folders[0], found[0].config, folder, fitted.config)
        components += fitted.components
        results += trained(folder, fitted)
    seeds = [component.config.seed for component in components]
    if len(seeds) < 2 or len(set(seeds)) < len(seeds):
        listed = ", ".join(map(str, seeds))
        raise RunFolderError(f"a mixture needs two or more runs of different training seeds, not of {listed}")
    first = components[0].config
    guide = {**first.guide, "components": len(seeds), "seeds": seeds}
    name = method or f"{first.method}-x{len(seeds)}"
    config = replace(first, method=name).replace("guide", guide)
    if len(component_configs(config, trust=trust)) != len(seeds):
        raise RunFolderError(f"the guide {first.guide.name!r} has components of its own, and is not merged")
    target = RunFolder.of(config, Path(out))
    mixture = assembled(config, components, found[0].encoder, found[0].preprocessing)
    with steady_process(config.train.get("threads")), target.held():
        mixture.config = moved(config, data_dir)
        task = build_task(mixture.config, trust=trust)
        for folder in folders:
            check_data(folder, mixture.preprocessing)
        target.prepare(overwrite=overwrite).discard()  # refused here, if at all
        with target.made_anew() as folder:
            folder.write_config(mixture.config)
            folder.write_json("environment.json", environment(torch.get_num_threads(), command))
            save(folder, mixture, results)
            metrics = analyse(folder, mixture, task, results)
    return RunResult(target.path, metrics)


def _finished(folder: RunFolder) -> RunFolder:
    folder.read_config()
    if not folder.finished:
        raise RunFolderError(f"{folder.path} is not finished; finish it with --resume before it is merged")
    return folder


def _check_alike(one: RunFolder, config: Config, other: RunFolder, its: Config) -> None:
    """Refuse runs that differ in more than their seed."""
    first, second = (_without_seed(c) for c in (config, its))
    if changed := sorted({key for key, _ in flat_keys(first) ^ flat_keys(second)}):
        raise RunFolderError(
            f"{other.path} and {one.path} differ in {', '.join(changed)}; merge runs that differ in their "
            "training seed alone"
        )


def _without_seed(config: Config) -> dict[str, Any]:
    return alone(config, 0).to_dict() | {"data": config.data_settings}
