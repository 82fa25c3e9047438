"""Finished runs that a test spoils."""

import json

from bisnn_pyro.analysis import from_datasets, group, group_names, load_idata, save_idata
from bisnn_pyro.experiments.folder import RunFolder


def change_config(path, **values):
    """Write other values at keys of a run's config, dots written as two underscores."""
    folder = RunFolder(path)
    config = folder.read_config()
    for key, value in values.items():
        config = config.replace(key.replace("__", "."), value)
    folder.write_config(config)
    folder.seal()


def change_metrics(path, change):
    """Let a function change a run's metrics."""
    record = json.loads((path / "metrics.json").read_text())
    change(record)
    (path / "metrics.json").write_text(json.dumps(record))
    RunFolder(path).seal()


def change_targets(path, targets):
    """Give a run's store other targets of its test points, or fewer points."""
    file = path / "inference_data.nc"
    idata = load_idata(file)
    groups = {name: group(idata, name) for name in group_names(idata)}
    for name, found in groups.items():
        if "pred_point" in found.dims:
            groups[name] = found.isel(pred_point=slice(len(targets)))
    constant = groups["predictions_constant_data"]
    groups["predictions_constant_data"] = constant.assign(y=("pred_point", targets))
    save_idata(from_datasets({name: found.copy() for name, found in groups.items()}, idata.attrs), file)
    RunFolder(path).seal()


def change_votes(path, change):
    """Let a function change the votes of every predictor on the test points, ``[..., point, class]``."""
    file = path / "inference_data.nc"
    idata = load_idata(file)
    groups = {name: group(idata, name).copy() for name in group_names(idata)}
    vote = groups["predictions"]["vote"]
    groups["predictions"] = groups["predictions"].assign(vote=(vote.dims, change(vote.values)))
    save_idata(from_datasets(groups, idata.attrs), file)
    RunFolder(path).seal()
