"""The API reference: one page per part of the package, written from its public names at each build.

Public is what ``__all__`` lists; names that a package imports at their first use are looked up as a user's
code would, so a name that is exported and cannot be imported ends the build.
"""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from pathlib import Path
from types import GenericAlias
from typing import Any

PACKAGES = {
    "bisnn_pyro.models": "Models",
    "bisnn_pyro.inference": "Inference",
    "bisnn_pyro.distributions": "Distributions",
    "bisnn_pyro.data": "Data",
    "bisnn_pyro.analysis": "Analysis: scores and tables",
    "bisnn_pyro.analysis.figures": "Analysis: figures",
    "bisnn_pyro.testing": "Contract suites",
}
#: Pages on runs: names at the root of the package, and what they return.
RUNNING = (
    "bisnn_pyro.load_preset",
    "bisnn_pyro.run",
    "bisnn_pyro.load_run",
    "bisnn_pyro.experiments.config.Config",
    "bisnn_pyro.experiments.run.RunResult",
    "bisnn_pyro.experiments.fitted.FittedRun",
    "bisnn_pyro.experiments.store.Store",
    "bisnn_pyro.experiments.predictors.Predictor",
)
FINISHED = (
    "bisnn_pyro.Runs",
    "bisnn_pyro.results.Line",
    "bisnn_pyro.results.FinishedRun",
    "bisnn_pyro.compare",
    "bisnn_pyro.results.Comparison",
    "bisnn_pyro.shift_study",
    "bisnn_pyro.out_of_distribution_study",
    "bisnn_pyro.selective_study",
    "bisnn_pyro.sweep_study",
    "bisnn_pyro.ensembles_study",
    "bisnn_pyro.energy_study",
    "bisnn_pyro.results.studies.Study",
    "bisnn_pyro.compare_elpd",
    "bisnn_pyro.compare_loo",
    "bisnn_pyro.posterior_table",
    "bisnn_pyro.spike_checks",
    "bisnn_pyro.report",
    "bisnn_pyro.export",
    "bisnn_pyro.read_export",
    "bisnn_pyro.exports.ExportedNetwork",
)
LISTS = {
    "bisnn_pyro.experiments": ("Presets, runs and run folders", RUNNING),
    "bisnn_pyro.results": ("Finished runs", FINISHED),
}

#: A module without its names, which have entries of their own.
BARE = ("   :no-members:", "   :no-index:", "")
#: The members of these classes are those of their bases, which have no entries.
INHERITING = (
    "bisnn_pyro.models.EscapeNeuron",
    "bisnn_pyro.models.ThresholdNeuron",
    "bisnn_pyro.testing.GuideContract",
)
ABBREVIATIONS = ("corp", "ece", "elpd", "roc")
ANALYSIS = "bisnn_pyro.analysis"
FIGURES = "bisnn_pyro.analysis.figures"


def write_api_pages(folder: Path) -> None:
    """Write the page of every package, ``<package>.rst``."""
    pages = {"bisnn_pyro": _root(), **{name: _listed(*parts) for name, parts in LISTS.items()}}
    pages |= {package: _page(package, title) for package, title in PACKAGES.items()}
    for name, lines in pages.items():
        (folder / f"{name}.rst").write_text("\n".join(lines), encoding="utf-8")


def _title(title: str, line: str = "=") -> list[str]:
    return [title, line * len(title), ""]


def _root() -> list[str]:
    """Every name at the root with its first sentence, linked to its entry."""
    package = import_module("bisnn_pyro")
    lines = [*_title("The package's root"), ".. automodule:: bisnn_pyro", *BARE, ".. list-table::", ""]
    for name in package.__all__:
        value = getattr(package, name)
        if not name.startswith("_"):
            text = re.split(r"(?<=\.)\s", " ".join((inspect.getdoc(value) or "").split()))[0]
            lines += [f"   * - :py:obj:`~{_entry_of(name, value)}`", f"     - {text}"]
    return [*lines, ""]


def _entry_of(name: str, value: Any) -> str:
    """Where the reference describes a name of the root: on the page of its part, or of runs."""
    parts = [p for p in PACKAGES if getattr(value, "__module__", "").startswith(f"{p}.")]
    return f"{parts[0]}.{name}" if parts else f"bisnn_pyro.{name}"


def _listed(title: str, names: tuple[str, ...]) -> list[str]:
    lines = _title(title)
    for name in names:
        module, _, attribute = name.rpartition(".")
        lines += _entry(name, getattr(import_module(module), attribute))
    return lines


def _page(package: str, title: str) -> list[str]:
    public = ANALYSIS if package == FIGURES else package
    lines = _title(title)
    by_home: dict[str, list[str]] = {}
    for name in import_module(public).__all__:
        home = getattr(getattr(import_module(public), name), "__module__", public)
        if public != ANALYSIS or home.startswith(FIGURES) == (package == FIGURES):
            by_home.setdefault(home, []).append(name)
    if package != FIGURES:
        lines += [f".. automodule:: {public}", *BARE]
    for home in sorted(by_home):
        lines += _section(public, home, by_home[home])
    return lines


def _section(package: str, home: str, names: list[str]) -> list[str]:
    """The names that one module holds, under the module's own docstring."""
    package_object, lines = import_module(package), []
    if package == ANALYSIS:
        lines += [*_title(_heading(home.rpartition(".")[2]), "-"), f".. automodule:: {home}", *BARE]
    for name in sorted(names, key=lambda n: (not inspect.isclass(getattr(package_object, n)), n.lower())):
        lines += _entry(f"{package}.{name}", getattr(package_object, name))
    return lines


def _heading(module: str) -> str:
    words = module.replace("_", " ").split()
    words = [word.upper() if word in ABBREVIATIONS else word for word in words]
    return " ".join([words[0] if words[0].isupper() else words[0].capitalize(), *words[1:]])


def _entry(path: str, value: Any) -> list[str]:
    if inspect.isclass(value):
        inherited = ["   :inherited-members:"] if path in INHERITING else []
        return [f".. autoclass:: {path}", "   :members:", *inherited, ""]
    if callable(value) and not isinstance(value, GenericAlias):
        examples = [f".. minigallery:: {path}", ""] if path.rpartition(".")[2].startswith("plot_") else []
        return [f".. autofunction:: {path}", "", *examples]
    text = f"Keys: {', '.join(map(repr, value))}." if isinstance(value, dict) else repr(value)
    return [f".. py:data:: {path}", "", f"   {text}", ""]
