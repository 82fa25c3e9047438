"""The page: sections in their order, the template that shows them, and the file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import bisnn_pyro
from bisnn_pyro.errors import ConfigError
from bisnn_pyro.experiments.comparable import check_comparable, finished_runs
from bisnn_pyro.experiments.compare import Comparison, compare
from bisnn_pyro.experiments.report.agreement import agreement
from bisnn_pyro.experiments.report.blocks import Section
from bisnn_pyro.experiments.report.calibration import calibration
from bisnn_pyro.experiments.report.committee import committee
from bisnn_pyro.experiments.report.costs import costs
from bisnn_pyro.experiments.report.data_set import data_set
from bisnn_pyro.experiments.report.lines import Material, gather
from bisnn_pyro.experiments.report.maps import maps
from bisnn_pyro.experiments.report.overview import overview
from bisnn_pyro.experiments.report.posteriors import posteriors
from bisnn_pyro.experiments.report.regression import regression
from bisnn_pyro.experiments.report.scores import scores
from bisnn_pyro.experiments.report.selective import selective
from bisnn_pyro.experiments.report.surroundings import surroundings
from bisnn_pyro.experiments.report.training import training
from bisnn_pyro.experiments.report.uncertainty import uncertainty
from bisnn_pyro.files import atomic_path

TEMPLATE = "page.html"


def report(
    paths: Iterable[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    reference: str | None = None,
    n_resamples: int = 2000,
    seed: int = 0,
    data_dir: str | os.PathLike[str] | None = None,
) -> Path:
    """Write one page about finished runs that loads nothing: pictures are inside of it.

    The same runs and data give the same bytes.  Sizes of the data and costs of an inference are counted on
    the data themselves; where these cannot be read, or are no longer those of the runs, the page says so.

    Args:
        paths: run folders, or folders that hold them, on the same test points.
        out: the page, .html.
        reference: the method that the others are taken from, by default that of the first run.
        n_resamples: bootstrap draws of the test points.
        seed: of the bootstrap.
        data_dir: where the data are now, in place of the configs' ``data.path``.

    Returns:
        `out`.

    Raises:
        InputError: if a run cannot be read, they cannot be compared, or `out` is no name of a page.
    """
    target = check_page(out)
    given = [*paths]
    runs = finished_runs(given)
    check_comparable(runs)
    comparison = compare(given, reference=reference, n_resamples=n_resamples, seed=seed)
    material = gather(runs, data_dir)
    page = render(sections(material, comparison), title(material))
    with atomic_path(target) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return target


def check_page(path: str | os.PathLike[str]) -> Path:
    """Return the path of a page.

    Raises:
        ConfigError: if its suffix is another than .html, or it is a folder.
    """
    target = Path(path)
    if target.suffix not in (".html", ".htm") or target.is_dir():
        raise ConfigError(f"--out {target}: give a file that ends in .html")
    return target


def sections(material: Material, comparison: Comparison) -> list[Section]:
    """Return what the page holds, in order; a regression has no calibration of classes."""
    of_classes = (calibration, selective, uncertainty, committee)
    kind = (regression,) if material.regression else of_classes
    found = [
        overview(material),
        data_set(material),
        scores(material, comparison),
        *(make(material) for make in (*kind, maps, training, agreement, posteriors, costs, surroundings)),
    ]
    return [section for section in found if section is not None]


def title(material: Material) -> str:
    """Return the experiments' names."""
    return ", ".join(dict.fromkeys(run.config.experiment for run in material.runs))


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
