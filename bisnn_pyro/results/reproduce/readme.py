"""``README.md`` of a reproduction: what was made, by which command, and with which versions."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from bisnn_pyro.experiments.report.lines import numbers
from bisnn_pyro.experiments.reproduce.record import Record
from bisnn_pyro.experiments.reproduce.stage import Batch, Settings, Stage
from bisnn_pyro.files import atomic_path

HEAD = """# {name}

Made by

    {command}

training seeds {seeds}, settings of the presets (`bisnn show PRESET`), temperatures fitted on validation
points. The same command again makes what is missing. `runs/` holds the run folders, `tables/` a `.tex`
(booktabs), `.md` and `.csv` a table, `figures/` a `.pdf`, `.png` and `.csv` a figure; figures of one network
are of the first seed.
"""
QUICK = """
**Quick:** sizes, epochs and committees are reduced, to see that all of it works. The numbers say nothing
about the methods.
"""


def write_readme(
    out: Path,
    name: str,
    settings: Settings,
    stages: Sequence[tuple[Stage, Record | str]],
    answer: Sequence[str],
) -> Path:
    """Write the file anew.

    Args:
        out: the reproduction's folder.
        name: that of its plan.
        settings: the user's.
        stages: each with what it has made, or why there is nothing.
        answer: files across all stages.
    """
    text = [HEAD.format(name=name, command=command(out, name, settings), seeds=numbers(settings.seeds))]
    text += [QUICK] if settings.quick else []
    if answer:
        text.append(
            "\n## Where Bayes earns its keep\n\nThe committee less a straight-through net at its "
            f"temperature, under every condition below.\n\n{_listed(answer)}"
        )
    for stage, made in stages:
        text.append(f"\n## {stage.name}\n\n{stage.title[0].upper()}{stage.title[1:]}.\n")
        if isinstance(made, str):
            text.append(f"\nNothing here: {made}.\n")
        else:
            runs = "".join(f"    {_run_command(batch, settings)}\n" for batch in stage.batches)
            text.append(f"\nRuns:\n\n{runs}\n{_listed(made.files)}")
    text.append(_versions(made.versions for _, made in stages if isinstance(made, Record)))
    target = out / "README.md"
    with atomic_path(target) as temporary:
        temporary.write_text("".join(text), encoding="utf-8")
    return target


def command(out: Path, name: str, settings: Settings) -> str:
    """Return the command that makes this reproduction."""
    parts = [
        "bisnn reproduce",
        name,
        f"--out {shlex.quote(str(out))}",
        f"--seeds {numbers(settings.seeds).replace(', ', ',')}",
    ]
    parts += ["--quick"] if settings.quick else []
    parts += [f"--data-dir {shlex.quote(str(settings.data_dir))}"] if settings.data_dir is not None else []
    return " ".join(parts)


def _run_command(batch: Batch, settings: Settings) -> str:
    """Return the command that makes the same runs by itself."""
    seeds = settings.seeds[:1] if batch.n_folds else settings.seeds
    parts = [f"bisnn run {batch.source}", f"--seeds {numbers(seeds).replace(', ', ',')}"]
    parts += [f"-m {method}" for method in batch.methods]
    parts += [f"--folds {batch.n_folds}"] if batch.n_folds else []
    parts += [f"--set {shlex.quote(change)}" for change in batch.changes]
    return " ".join(parts)


def _listed(files: Sequence[str]) -> str:
    """Return a list of files, those of one name in a line."""
    stems: dict[str, list[str]] = {}
    for file in files:
        path = Path(file)
        stems.setdefault(str(path.with_suffix("")), []).append(path.suffix)
    return "".join(f"- `{stem}` {', '.join(suffixes)}\n" for stem, suffixes in stems.items())


def _versions(found: Iterable[Mapping[str, str]]) -> str:
    several: dict[str, dict[str, None]] = {}
    for versions in found:
        for package, version in versions.items():
            several.setdefault(package, {})[version] = None
    if not several:
        return ""
    lines = "".join(f"- {package} {', '.join(versions)}\n" for package, versions in several.items())
    return f"\n## Versions\n\n{lines}"
