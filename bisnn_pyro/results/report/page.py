"""The page: its sections in order, the template that shows them, and the file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import bisnn_pyro
from bisnn_pyro.errors import ConfigError
from bisnn_pyro.files import atomic_path
from bisnn_pyro.results.comparison import Comparison, compare
from bisnn_pyro.results.finished import Paths
from bisnn_pyro.results.report.blocks import Section
from bisnn_pyro.results.report.classes import calibration, committee_size, selective, uncertainty
from bisnn_pyro.results.report.regression import regression
from bisnn_pyro.results.report.scores import costs, pictures, scores
from bisnn_pyro.results.report.setup import data_set, environment, overview
from bisnn_pyro.results.report.training import agreement, posteriors, training
from bisnn_pyro.results.runs import Runs, as_runs

TEMPLATE = "page.html"


def report(
    paths: Runs | Paths,
    out: str | os.PathLike[str],
    *,
    reference: str | None = None,
    n_resamples: int = 2000,
    seed: int = 0,
    data_dir: str | os.PathLike[str] | None = None,
    trust: bool = False,
) -> Path:
    """Write one page about finished runs that loads nothing: its pictures are stored inside it.

    The same runs and data give the same bytes.  The sizes of the data and the costs of an inference are
    counted on the data themselves; if these cannot be read, or are no longer those of the runs, the page
    says so.

    Args:
        paths: run folders, or folders that hold them, on the same test points.
        out: the page, an ``.html`` file.
        reference: the method that the others are compared with, by default that of the first run.
        n_resamples: bootstrap draws of the test points.
        seed: of the bootstrap.
        data_dir: where the data are now, instead of the configs' ``data.path``.
        trust: whether the user's own classes that a config names may be imported.

    Returns:
        `out`.

    Raises:
        InputError: if a run cannot be read, the runs cannot be compared, or `out` is not an ``.html`` file.

    Example::

        report("runs/digits", "digits.html")
    """
    target = check_page(out)
    runs = as_runs(paths, trust=trust)
    for run in runs:
        run.folder.check()  # sections name what cannot be read and go on
    comparison = compare(runs, reference=reference, n_resamples=n_resamples, seed=seed)
    page = render(sections(runs, comparison, data_dir), title(runs))
    with atomic_path(target) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return target


def check_page(path: str | os.PathLike[str]) -> Path:
    """Return the path of a page.

    Raises:
        ConfigError: if the suffix is not .html, or the path is a folder.
    """
    target = Path(path)
    if target.suffix not in (".html", ".htm") or target.is_dir():
        raise ConfigError(f"--out {target}: give a file that ends in .html")
    return target


def sections(
    runs: Runs, comparison: Comparison, data_dir: str | os.PathLike[str] | None = None
) -> list[Section]:
    """Return the sections of the page in order; a regression has coverage instead of calibration."""
    of_classes = (calibration, selective, uncertainty, committee_size)
    kind = (regression,) if runs.kind == "regression" else of_classes
    found = [
        overview(runs),
        data_set(runs, data_dir),
        scores(runs, comparison),
        *(make(runs) for make in (*kind, pictures, training, agreement, posteriors)),
        costs(runs, data_dir),
        environment(runs),
    ]
    return [section for section in found if section is not None]


def title(runs: Runs) -> str:
    """Return the names of the experiments."""
    return ", ".join(dict.fromkeys(run.experiment for run in runs))


def render(parts: Sequence[Section], name: str) -> str:
    """Return the page as HTML; every text is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    cautions = [(part, caution) for part in parts for caution in part.cautions]
    return environment.get_template(TEMPLATE).render(
        title=name, sections=parts, cautions=cautions, version=bisnn_pyro.__version__
    )
