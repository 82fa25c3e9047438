"""What was run: methods, seeds, and the settings in which the methods differ."""

from __future__ import annotations

from bisnn_pyro.experiments.comparable import BESIDE
from bisnn_pyro.experiments.config import Config, flat_keys
from bisnn_pyro.experiments.report.blocks import Block, Caution, Section, Table, Text, plain_table, some
from bisnn_pyro.experiments.report.lines import Line, Material, numbers

NOT_SETTINGS = ("experiment", "description", "method", *BESIDE)
"""Keys that name a run, or that leave its numbers as they are."""


def overview(material: Material) -> Section:
    """Return the methods with their seeds, settings that differ, and those that they share."""
    settings = {line.name: _settings(line.first.config) for line in material.lines}
    keys = sorted({key for own in settings.values() for key in own})
    differ = [key for key in keys if len({own.get(key) for own in settings.values()}) > 1]
    descriptions = dict.fromkeys(run.config.description for run in material.runs if run.config.description)
    blocks: list[Block] = [Text(text) for text in descriptions]
    blocks.append(Table("Methods and their runs", plain_table([_row(line) for line in material.lines])))
    if differ:
        rows = [{"setting": key, **{name: own.get(key) for name, own in settings.items()}} for key in differ]
        blocks.append(Table("Settings in which they differ", plain_table(rows)))
    shared = [
        {"setting": key, "value": settings[material.lines[0].name][key]} for key in keys if key not in differ
    ]
    blocks.append(Table("Settings that they share", plain_table(shared), folded=True))
    return Section("runs", "What was run", blocks, [*_repetitions(material), *_tempered(material)])


def _row(line: Line) -> dict[str, object]:
    folds = [run.config.fold for run in line.runs if run.config.fold is not None]
    return {
        "experiment": line.first.config.experiment,
        "method": line.first.config.method,
        "posterior": line.first.config.guide.name,
        "training seeds": numbers(line.seeds),
        **({"folds": numbers(set(folds))} if folds else {}),
        "runs": len(line.runs),
        "predictors": ", ".join(line.predictors),
    }


def _settings(config: Config) -> dict[str, str]:
    tables = {k: v for k, v in config.to_dict().items() if k != "tune"}
    return {key: value.strip("'") for key, value in flat_keys(tables) if key not in NOT_SETTINGS}


def _repetitions(material: Material) -> list[Caution]:
    """Say what intervals there are none of, or are too short."""
    found = []
    single = [line.name for line in material.lines if len(line.seeds) == 1]
    if single and not material.folds:
        found.append(
            Caution(
                "One training seed",
                "No interval over seeds can be given: what another seed would have scored is not known. "
                "Train several, for example with --seeds 0-4.",
                some(single),
            )
        )
    counts = {line.name: len(line.seeds) for line in material.lines}
    if len(set(counts.values())) > 1:
        items = tuple(f"{name}: {count}" for name, count in counts.items())
        text = "Means over few seeds are less sure than those beside them; their intervals say by how much."
        found.append(Caution("Methods have other numbers of seeds", text, items))
    if material.folds:
        found.append(
            Caution(
                f"Cross-validation over {material.folds} folds",
                "The test points of all folds are pooled, each predicted by the network that was not "
                "trained on it. Training sets of folds overlap, so their scores are not independent and "
                "intervals over folds are a guide, as a rule too short.",
            )
        )
    return found


def _tempered(material: Material) -> list[Caution]:
    weights = {
        f"{line.name}: weight {line.first.metrics['kl_weight']:g}"
        for line in material.lines
        if line.first.metrics.get("kl_weight") not in (None, 1.0)
        and line.first.config.guide.name not in ("straight-through", "full-precision")
    }
    if not weights:
        return []
    text = (
        "The weight on the KL is not 1, so what was fitted is not the posterior of the model as written: "
        "below 1 it is narrower than Bayes' theorem has it."
    )
    return [Caution("Tempered posteriors", text, tuple(sorted(weights)))]
