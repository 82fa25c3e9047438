"""Finished runs as one noun: :class:`Runs` reads them, checks that they belong together, and labels them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bisnn_pyro.analysis import CONSTANT, PrintedTable, average_seeds, printed_table
from bisnn_pyro.errors import ConfigError
from bisnn_pyro.experiments.predictors import base_name, legend, limit_notes
from bisnn_pyro.results.differences import Key, Paired, difference_table
from bisnn_pyro.results.finished import FinishedRun, Paths, check_together, read_runs

if TYPE_CHECKING:
    import xarray as xr

CLASSIFICATION = ("accuracy", "nll", "brier", "ece")
REGRESSION = ("rmse", "nll", "coverage90")
COSTS = {"trainings": 0, "networks": 0, "weight_bits": 0, "spikes": 1, "train_seconds": 1}
"""Columns of costs, and their places after the point in a table."""


@dataclass(frozen=True, eq=False)
class Line:
    """The runs of one experiment and method, over seeds and folds.

    Attributes:
        name: for legends and messages: the method, after its experiment where there are several.
        runs: by seed and fold.
    """

    name: str
    runs: tuple[FinishedRun, ...]

    @property
    def first(self) -> FinishedRun:
        """The run that stands for settings."""
        return self.runs[0]

    @property
    def seeds(self) -> list[int]:
        """Training seeds, ascending."""
        return sorted({run.seed for run in self.runs})

    @property
    def seeds_alike(self) -> list[int]:
        """Those with the test points of the first: of a repeated cross-validation, one repeat."""
        splits = {seed: [run.split for run in self.of_seed(seed)] for seed in self.seeds}
        return [seed for seed in self.seeds if splits[seed] == splits[self.seeds[0]]]

    @property
    def predictors(self) -> list[str]:
        """The predictors that all its runs have; the first is the method's own."""
        return [name for name in self.first.predictors if all(name in run.predictors for run in self.runs)]

    @property
    def main(self) -> list[str]:
        """The first predictor, and the same at its temperature: what a figure has room for."""
        return [name for name in self.predictors if base_name(name) == self.predictors[0]]

    def of_seed(self, seed: int) -> list[FinishedRun]:
        """Return the run of one seed, or its folds."""
        return [run for run in self.runs if run.seed == seed]

    def votes(self, predictor: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Return one seed's probabilities ``[N, C]`` or means ``[S, N]``, and targets ``[N]``.

        The folds of a cross-validation follow one another.
        """
        stores = [run.store for run in self.of_seed(seed)]
        axis = 1 if self.first.kind == "regression" else 0
        votes = np.concatenate([store.votes(predictor) for store in stores], axis)
        return votes, np.concatenate([store.targets for store in stores])

    def members(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the first predictor's draws ``[S, N, C]`` and the targets ``[N]`` of one seed.

        The folds of a cross-validation follow one another: a member is one network from each fold.
        """
        stores = [run.store for run in self.of_seed(seed)]
        draws = np.concatenate([store.members() for store in stores], axis=1)
        return draws, np.concatenate([store.targets for store in stores])

    @cached_property
    def has_committee(self) -> bool:
        """Whether the first predictor has several members."""
        return len(self.first.store.members()) > 1

    def point_scores(self, predictor: str) -> dict[str, np.ndarray]:
        """Return scores of each seed and test point, ``[K, N]`` by metric, folds one after the other.

        Of a repeated cross-validation they are those of the first repeat (:attr:`seeds_alike`).
        """
        seeds = [[run.point_scores(predictor) for run in self.of_seed(seed)] for seed in self.seeds_alike]
        return {
            metric: np.stack([np.concatenate([fold[metric] for fold in folds]) for folds in seeds])
            for metric in seeds[0][0]
        }

    def dataset(self, predictor: str | None = None) -> xr.Dataset:
        """Return the votes of all seeds on the test points, labelled; of the first repeat if there are more.

        Args:
            predictor: whose votes; None for those of each member of the first predictor.

        Returns:
            ``probability`` (seed, point, class), or (seed, draw, point, class) of members, and ``target``
            (point); of a regression ``mean`` (seed, draw, point), ``noise_scale`` (seed) and ``target``.  The
            folds of a cross-validation follow one another along ``point``, and ``noise_scale`` then also has
            that dimension.
        """
        import xarray as xr

        seeds = self.seeds_alike
        found = [self.members(s) if predictor is None else self.votes(predictor, s) for s in seeds]
        data: dict[str, Any] = {"target": ("point", found[0][1])}
        labels: dict[str, Any] = {"seed": seeds}
        votes = np.stack([vote for vote, _ in found])
        if self.first.kind == "classification":
            draw = ("draw",) if predictor is None else ()
            data["probability"] = (("seed", *draw, "point", "class"), votes)
            labels["class"] = list(self.first.store.class_names)
        else:
            data["mean"] = (("seed", "draw", "point"), votes)
            stores = [[run.store for run in self.of_seed(seed)] for seed in seeds]
            data["noise_scale"] = ("seed", [own[0].noise_scale for own in stores])
            if self.first.fold is not None:
                noise = [[np.full(len(one.targets), one.noise_scale) for one in own] for own in stores]
                data["noise_scale"] = ("seed", "point"), [np.concatenate(own) for own in noise]
        return xr.Dataset(data, labels, {"predictor": predictor or self.predictors[0]})

    def run_name(self, run: FinishedRun) -> str:
        """Return the name of one of its runs in messages."""
        fold = "" if run.fold is None else f" fold {run.fold}"
        return f"{self.name}{fold} seed {run.seed}"

    def label(self, predictor: str) -> str:
        """Return the name of one of its predictors for a legend; a mode is the method itself."""
        return legend(self.name, predictor)


class Runs:
    """Finished runs that belong together: the same test points, scored in the same way.

    Args:
        paths: one or more run folders, or folders that hold them (``summary/`` is skipped).
        trust: whether classes of a user's own that a config names may be imported.
        varying: a setting in which runs of one method may differ, such as ``"train.kl_weight"``.

    Raises:
        RunFolderError: if a folder is missing, holds no run or an unfinished one, or the runs do not belong
            in one table (see ``check_together`` in ``bisnn_pyro.results.finished``).

    Example::

        runs = Runs("runs/digits")
        runs.scores().groupby(["method", "predictor"])["nll"].mean()
        plot_reliability(runs)
    """

    def __init__(
        self,
        paths: Paths,
        *,
        trust: bool = False,
        accept_changed: bool = False,
        varying: str | None = None,
    ) -> None:
        self._take(read_runs(paths, trust=trust, accept_changed=accept_changed), varying)
        check_together(self.runs, varying=varying)

    @classmethod
    def of(cls, runs: Sequence[FinishedRun], *, varying: str | None = None, check: bool = True) -> Runs:
        """Return runs that are read already; without ``check`` the caller says that they belong together."""
        self = cls.__new__(cls)
        self._take(runs, varying)
        if check:
            check_together(runs, varying=varying)
        return self

    def _take(self, runs: Sequence[FinishedRun], varying: str | None) -> None:
        self.runs, self.varying = tuple(runs), varying

    def __iter__(self) -> Iterator[FinishedRun]:
        """Iterate over the runs in the order in which they were named."""
        return iter(self.runs)

    def __len__(self) -> int:
        """Return the number of runs."""
        return len(self.runs)

    def __getitem__(self, index: int) -> FinishedRun:
        """Return one run."""
        return self.runs[index]

    def __repr__(self) -> str:
        """The table of scores."""
        return self.table()

    def _repr_markdown_(self) -> str:
        """The table of scores, which notebooks show."""
        return self.table("markdown")

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        """The runs by experiment and method, in the order of their first appearance."""
        groups: dict[tuple[Any, ...], list[FinishedRun]] = {}
        for run in self.runs:
            value = () if self.varying is None else (f"{self.varying}={run.config.value(self.varying)}",)
            groups.setdefault((run.experiment, run.method, *value), []).append(run)
        start = 0 if len({experiment for experiment, *_ in groups}) > 1 else 1
        return tuple(
            Line(
                " ".join(key[start:]),
                tuple(sorted(own, key=lambda run: (run.seed, *(part or 0 for part in run.split)))),
            )
            for key, own in groups.items()
        )

    @property
    def kind(self) -> str:
        """``"classification"`` or ``"regression"``."""
        return self.runs[0].kind

    @property
    def bins(self) -> int:
        """Bins of the calibration error, the same for all runs."""
        return self.runs[0].config.analysis.bins

    @property
    def over(self) -> str:
        """What means and intervals are taken over: ``"seed"``, or ``"fold"`` in a cross-validation."""
        return "seed" if self.runs[0].fold is None else "fold"

    @property
    def folds(self) -> int:
        """Number of folds among the runs; 0 for data with a fixed test set."""
        return len({run.fold for run in self.runs if run.fold is not None})

    @property
    def n_points(self) -> int:
        """Number of test points, over all folds."""
        line = self.lines[0]
        return sum(len(run.store.targets) for run in line.of_seed(line.seeds[0]))

    @property
    def metrics(self) -> tuple[str, ...]:
        """The scores that tables show."""
        return REGRESSION if self.kind == "regression" else CLASSIFICATION

    def named(self) -> dict[str, FinishedRun]:
        """Return all runs by the name that messages give them."""
        return {line.run_name(run): run for line in self.lines for run in line.runs}

    def each_seed(self) -> Iterator[tuple[Line, int]]:
        """Yield every line with each of its seeds."""
        for line in self.lines:
            for seed in line.seeds:
                yield line, seed

    def scores(self, *, noise: str | None = None) -> pd.DataFrame:
        """Return the scores on the test points, one row per run and predictor.

        Args:
            noise: those on noisy test points instead: a standard deviation of ``analysis.noise``, as text.

        Returns:
            Columns experiment, method, seed, fold (missing for data with a fixed test set), predictor, the
            scores of ``metrics.json``, trainings, networks, weight_bits, spikes and
            train_seconds.
        """
        rows = []
        for run in self.runs:
            record = run.metrics
            found = record["predictors"] if noise is None else record.get("noise", {}).get(noise, {})
            for name, scores in found.items():
                costs = {
                    "trainings": run.trainings,
                    "networks": record.get("networks", {}).get(name),
                    "weight_bits": record.get("weight_bits", {}).get(name),
                    "spikes": record.get("spikes_per_inference", {}).get(name),
                    "train_seconds": record["train_seconds"],
                }
                rows.append(run.row(name, **scores, **costs))
        return as_frame(rows)

    def scores_and_constant(self, *, noise: str | None = None) -> pd.DataFrame:
        """Return :meth:`scores`, and those of the constant predictor once for each seed and fold."""
        runs = {(r.experiment, r.seed, r.split): r for r in self.runs[::-1] if CONSTANT in r.metrics}
        rows = [{**r.row(CONSTANT, **r.metrics[CONSTANT]), "method": CONSTANT} for r in runs.values()]
        return pd.concat([self.scores(noise=noise), *([as_frame(rows)] if rows else [])])

    def differences(
        self, against: str | None = None, *, n_resamples: int = 2000, seed: int = 0
    ) -> pd.DataFrame:
        """Return paired differences of scores on the same test points, with their intervals.

        In a cross-validation, repeated or not, runs are paired by fold and the interval is the corrected
        resampled t; else, with two seeds or more that the lines share, it is over seeds and test points
        together, and over seeds for a calibration error; else it is a bootstrap of the test points.

        Args:
            against: the method that the others are subtracted from, with its first predictor; the first
                run's by default.
            n_resamples: bootstrap draws of the test points.
            seed: of the bootstrap.

        Returns:
            One row per other line and predictor: difference, n (pairs), n_points, then ``<metric>``,
            ``<metric>_low`` and ``<metric>_high`` for every score that has an interval, and, except with a
            bootstrap, ``nll_p`` and ``verdict`` on the NLL (:func:`bisnn_pyro.analysis.verdicts`); empty
            without other lines.

        Raises:
            ConfigError: if there is no such method.
        """
        found = self.difference_table(against, n_resamples=n_resamples, seed=seed)
        return pd.DataFrame() if found is None else found.frame

    def difference_table(
        self, against: str | None = None, *, n_resamples: int = 2000, seed: int = 0
    ) -> PrintedTable | None:
        """Return :meth:`differences` as a printed table; None where there is nothing to compare with."""
        paired = {
            (line.name, name): Paired(line.runs, name, partial(line.point_scores, name))
            for line in self.lines
            for name in line.predictors
        }
        reference = self._reference(against)
        return difference_table(paired, reference, self.metrics, n_resamples=n_resamples, seed=seed)

    def _reference(self, method: str | None) -> Key:
        for line in self.lines:
            if method in (None, line.first.method):
                return line.name, line.predictors[0]
        methods = ", ".join(dict.fromkeys(run.method for run in self.runs))
        raise ConfigError(f"--reference {method!r} is not a method of these runs; they have {methods}")

    def votes(self, predictor: str | None = None) -> dict[str, xr.Dataset]:
        """Return one predictor's votes on the test points, by the label that figures show.

        Args:
            predictor: its name, such as ``"mode"``; each line's first by default.

        Returns:
            See :meth:`~bisnn_pyro.results.Line.dataset`; lines without the predictor are left out.

        Raises:
            ConfigError: if no run has the predictor.
        """
        chosen = [(line, predictor or line.predictors[0]) for line in self.lines]
        found = {line.label(name): line.dataset(name) for line, name in chosen if name in line.predictors}
        if not found:
            names = ", ".join(dict.fromkeys(name for line in self.lines for name in line.predictors))
            raise ConfigError(f"no run has the predictor {predictor!r}; they have {names}")
        return found

    def members(self) -> dict[str, xr.Dataset]:
        """Return how each member of the committees votes, by label; see ``Line.dataset``."""
        lines = [line for line in self.lines if line.has_committee]
        return {line.label(line.predictors[0]): line.dataset() for line in lines}

    def score_table(self) -> PrintedTable:
        """Return mean scores with their Student t intervals over seeds (or folds), and the costs."""
        digits = {**dict.fromkeys(self.metrics, 4), **COSTS}
        table = line_table(self.scores_and_constant(), (*self.metrics, *COSTS), self.n_folds, digits=digits)
        return replace(table, notes=[*table.notes, *self.temperature_notes()])

    def table(self, style: str = "plain") -> str:
        """Return the table of scores as text: ``"plain"``, ``"markdown"``, ``"latex"`` or ``"csv"``.

        Raises:
            ConfigError: for another style.
        """
        if style not in ("plain", "markdown", "latex", "csv"):
            raise ConfigError(f"style {style!r} is not known; use plain, markdown, latex or csv")
        return getattr(self.score_table(), style)()

    @property
    def n_folds(self) -> int | None:
        """K of a cross-validation, of which the runs may be a part; None without one."""
        return None if self.over == "seed" else self.runs[0].config.n_folds

    def temperature_notes(self) -> list[str]:
        """Return the note on temperatures at a limit of their fit; empty without any."""
        return limit_notes((line.name, run.temperatures) for line in self.lines for run in line.runs)


def as_runs(runs: Runs | Paths, *, trust: bool = False) -> Runs:
    """Return the runs in these folders, or the runs given."""
    return runs if isinstance(runs, Runs) else Runs(runs, trust=trust)


def as_frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return rows of :meth:`FinishedRun.row` as a frame; missing folds are ``<NA>``."""
    return pd.DataFrame(list(rows)).astype({"fold": "Int64"})


def line_table(
    frame: pd.DataFrame,
    metrics: Sequence[str] | None,
    n_folds: int | None,
    *,
    notes: Sequence[str] = (),
    digits: Any = 4,
) -> PrintedTable:
    """Return means and Student t intervals over seeds, or over folds with seeds averaged first.

    Args:
        frame: rows of :meth:`FinishedRun.row`; columns of text tell the lines apart.
        metrics: the columns of numbers, in order; all of them if None.
        n_folds: K of a cross-validation; None without one.
        notes: further lines below the table.
        digits: places after the point, for all columns or by column.
    """
    rows = frame if n_folds is None else average_seeds(frame.assign(n_folds=n_folds))
    table = printed_table(rows, metrics, digits=digits)
    return replace(table, notes=[*table.notes, *notes])
