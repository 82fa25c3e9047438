"""The API reference: a page a package, written anew from its public names at each build.

Public is what ``__all__`` lists; names that a package imports at their first use are looked up as a user's
code would, so a name that is exported and cannot be imported ends the build.
"""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path
from typing import Any

PACKAGES = {
    "bisnn_pyro": "The short path",
    "bisnn_pyro.models": "Models",
    "bisnn_pyro.inference": "Inference",
    "bisnn_pyro.distributions": "Distributions",
    "bisnn_pyro.data": "Data",
    "bisnn_pyro.analysis": "Analysis: metrics, tables and files",
    "bisnn_pyro.analysis.figures": "Analysis: figures",
    "bisnn_pyro.testing": "Contract suites",
}
#: Returned by the short path, and so public although no package lists them.
RETURNED = ("bisnn_pyro.experiments.run.RunResult", "bisnn_pyro.experiments.fitted.FittedRun")
#: Functions on finished runs, what they return and what they write; each stands in a module of its own.
FINISHED_RUNS = (
    "compare.compare",
    "compare.Comparison",
    "elpd.compare_elpd",
    "elpd.compare_loo",
    "posterior.layer_posteriors",
    "posterior.posterior_table",
    "spike_checks.spike_checks",
    "study.Study",
    "shift.shift_study",
    "shifted.with_stuck_synapses",
    "outside.outside_study",
    "outside_inputs.outside",
    "outside_inputs.Outside",
    "selective.selective_study",
    "sweep.sweep_study",
    "energy.energy",
    "new_data.evaluate_data",
    "export.writing.export",
    "export.network.ExportedNetwork",
    "report.writing.report",
)

#: A module without its names, which have entries of their own.
BARE = ("   :no-members:", "   :no-index:", "")
#: What these classes hold is their bases', which have no entries.
INHERITING = (
    "bisnn_pyro.models.EscapeNeuron",
    "bisnn_pyro.models.ThresholdNeuron",
    "bisnn_pyro.testing.GuideContract",
)
ABBREVIATIONS = ("corp", "ece", "elpd", "roc")
FIGURES = "bisnn_pyro.analysis.figures"


def write_api_pages(folder: Path) -> None:
    """Write the page of every package, ``<package>.rst``."""
    for package, title in PACKAGES.items():
        (folder / f"{package}.rst").write_text("\n".join(_page(package, title)), encoding="utf-8")
    (folder / "bisnn_pyro.experiments.rst").write_text("\n".join(_finished_runs()), encoding="utf-8")


def _page(package: str, title: str) -> list[str]:
    public = "bisnn_pyro.analysis" if package == FIGURES else package
    lines = [title, "=" * len(title), ""]
    by_home: dict[str, list[str]] = {}
    for name in import_module(public).__all__:
        home = getattr(getattr(import_module(public), name), "__module__", public)
        if public != "bisnn_pyro.analysis" or home.startswith(FIGURES) == (package == FIGURES):
            by_home.setdefault(home, []).append(name)
    if package != FIGURES:
        lines += [f".. automodule:: {public}", *BARE]
    for home in sorted(by_home):
        lines += _section(public, home, by_home[home])
    if package == "bisnn_pyro":
        for name in RETURNED:
            lines += _entry(name, getattr(import_module(name.rpartition(".")[0]), name.rpartition(".")[2]))
    return lines


def _finished_runs() -> list[str]:
    title = "Finished runs"
    lines = [title, "=" * len(title), ""]
    for name in FINISHED_RUNS:
        module, _, attribute = f"bisnn_pyro.experiments.{name}".rpartition(".")
        lines += _entry(f"{module}.{attribute}", getattr(import_module(module), attribute))
    return lines


def _section(package: str, home: str, names: list[str]) -> list[str]:
    """The names that one module holds, under the module's own docstring."""
    package_object, lines = import_module(package), []
    if package == "bisnn_pyro.analysis":
        title = _heading(home.removeprefix(f"{package}.").removeprefix("figures."))
        lines += [title, "-" * len(title), "", f".. automodule:: {home}", *BARE]
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
    if callable(value):
        examples = [f".. minigallery:: {path}", ""] if path.rpartition(".")[2].startswith("plot_") else []
        return [f".. autofunction:: {path}", "", *examples]
    text = f"Keys: {', '.join(map(repr, value))}." if isinstance(value, dict) else repr(value)
    return [f".. py:data:: {path}", "", f"   {text}", ""]
