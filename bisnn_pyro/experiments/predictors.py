"""Who votes in a finished run: a committee, the mode, the mean, the moments, and each at a temperature.

A predictor says which guides it suits, which networks vote, how many, and how many bits keep one.  Runs,
stores, tables, studies and energy ask these objects; no other code looks at their names.  A new predictor is
one class and one line::

    class FirstMember(Predictor):
        name = "first-member"

        def networks(self, guide, seed):
            return posterior_draws(guide, seed)

    PREDICTORS.append(FirstMember())
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor

from bisnn_pyro.analysis import LIMITS, fit_temperature, negative_log_likelihood, scale_temperature
from bisnn_pyro.errors import ConfigError, DataError
from bisnn_pyro.inference import (
    EarlyVotes,
    Prediction,
    SynapticGuide,
    point_draws,
    posterior_draws,
    predict,
    predict_moments,
)
from bisnn_pyro.inference.committee import Source
from bisnn_pyro.models import SpikingGLM

FLOAT_BITS = 32
_SUFFIX = "-scaled"


class Predictor:
    """One way to turn a posterior into votes; a subclass gives a name and its networks.

    Attributes:
        name: the key in ``metrics.json`` and in the store, and what ``predict(predictor=...)`` takes.
        label: what a legend adds to the method's name; the predictor's name where None.
        several: whether ``predict.draws`` networks vote, and not one.
        real: whether a synapse is a real number even where the posterior's are binary.
    """

    name: str
    label: str | None = None
    several: ClassVar[bool] = False
    real: ClassVar[bool] = False

    @property
    def base(self) -> Predictor:
        """The predictor whose networks vote: itself, unless its votes are made from another's."""
        return self

    def suits(self, guide: SynapticGuide) -> bool:
        """Return whether this posterior can vote in this way."""
        return True

    def networks(self, guide: SynapticGuide, seed: int) -> Source | None:
        """Return the source of the networks that vote; None where the vote is analytic."""
        return None

    def n_members(self, draws: int) -> int:
        """Return how many networks vote where ``draws`` are asked for."""
        return draws if self.several else 1

    def with_members(self, draws: int, scheme: str) -> Predictor:
        """Return the predictor whose networks are a committee of this size, drawn in this way.

        Only predictors whose members depend on one another need to know.
        """
        return self

    def bits_per_synapse(self, guide: SynapticGuide) -> int:
        """Return the bits that keep one synapse of one network."""
        return 1 if guide.binary and not self.real else FLOAT_BITS

    def vote(
        self,
        model: SpikingGLM,
        guide: SynapticGuide,
        blocks: Sequence[Tensor],
        y: Tensor | None = None,
        *,
        draws: int,
        seed: int,
        early: EarlyVotes | None = None,
    ) -> Prediction:
        """Vote on encoded inputs.

        Args:
            model: the network.
            guide: the posterior.
            blocks: encoded inputs ``[T, B, I]`` of consecutive examples.
            y: targets ``[N]``, for ``log_likelihood``.
            draws: the number of networks asked for.
            seed: of the networks and of hidden spikes.
            early: collects votes before the end.
        """
        source, n_draws = self.networks(guide, seed), self.n_members(draws)
        if source is None:
            raise NotImplementedError(f"{type(self).__name__} has no networks: it must define vote()")
        return predict(model, source, blocks, n_draws=n_draws, y=y, seed=seed, watch=early)

    def derived(self, prediction: Prediction) -> Prediction:
        """Return this predictor's prediction from that of its :attr:`base`."""
        return prediction


class Moments(Predictor):
    """The posterior's moments, propagated analytically (EBP-P): no network is drawn."""

    name, real = "moments", True

    def suits(self, guide: SynapticGuide) -> bool:
        """Return whether the guide's moments can be propagated."""
        return guide.moments

    def vote(
        self,
        model: SpikingGLM,
        guide: SynapticGuide,
        blocks: Sequence[Tensor],
        y: Tensor | None = None,
        *,
        draws: int,
        seed: int,
        early: EarlyVotes | None = None,
    ) -> Prediction:
        """Vote in one analytic pass.

        Raises:
            DataError: if early votes are asked for.
        """
        if early is not None:
            raise DataError(f"the predictor {self.name!r} has no time steps; early votes need another one")
        return predict_moments(model, guide, blocks, y=y)


class Committee(Predictor):
    """The mean vote of networks drawn from the posterior.

    Args:
        scheme: how they are drawn, see ``SynapticGuide.sample_posterior``.
        of: how many of them there are, which a Latin hypercube depends on.
    """

    name, several = "committee", True

    def __init__(self, scheme: str = "independent", of: int | None = None) -> None:
        self.scheme, self.of = scheme, of

    def suits(self, guide: SynapticGuide) -> bool:
        """Return whether there is a posterior to draw from."""
        return not guide.point

    def networks(self, guide: SynapticGuide, seed: int) -> Source:
        """Return posterior draws."""
        return posterior_draws(guide, seed, scheme=self.scheme, of=self.of)

    def with_members(self, draws: int, scheme: str) -> Predictor:
        """Return the committee of this size and scheme."""
        return type(self)(scheme, draws)


class Sharpened(Committee):
    """The committee of the posterior to a power: lambda times a factor, fitted on the validation points.

    *Assumes* that the factor was fitted on points like those to come; between 1 (the committee) and infinity
    (the mode) it trades the spread of the votes for the strength of each.

    *Fails* where there are few validation points, most of all without a mistake: then their NLL prefers large
    factors.  One notices by a factor at infinity, and by a test NLL above that of the committee, which stays
    in every table.

    Args:
        factor: c >= 1; infinity is the mode, a committee of one.
        scheme: as for :class:`Committee`.
        of: as for :class:`Committee`.
    """

    name = "committee-sharpened"

    def __init__(self, factor: float, scheme: str = "independent", of: int | None = None) -> None:
        super().__init__(scheme, of)
        self.factor = factor

    def suits(self, guide: SynapticGuide) -> bool:
        """Return whether the posterior's natural parameters can be multiplied."""
        return guide.sharpens

    def networks(self, guide: SynapticGuide, seed: int) -> Source:
        """Return draws of the sharpened posterior, with the same uniform numbers at each factor."""
        if math.isinf(self.factor):
            return point_draws(guide.mode())
        return super().networks(guide.sharpened(self.factor), seed)

    def n_members(self, draws: int) -> int:
        """Return how many networks vote: one where all would be the mode."""
        return 1 if math.isinf(self.factor) else draws

    def with_members(self, draws: int, scheme: str) -> Predictor:
        """Return the sharpened committee of this size and scheme."""
        return type(self)(self.factor, scheme, draws)


class Mode(Predictor):
    """The most probable network."""

    name, label = "mode", ""

    def networks(self, guide: SynapticGuide, seed: int) -> Source:
        """Return the mode."""
        return point_draws(guide.mode())


class Mean(Predictor):
    """One network whose weights are the posterior means."""

    name, real = "mean", True

    def suits(self, guide: SynapticGuide) -> bool:
        """Return whether the means are not the mode, and moments do not serve better."""
        return not guide.point and not guide.moments

    def networks(self, guide: SynapticGuide, seed: int) -> Source:
        """Return the network of the means."""
        return point_draws(guide.mean())


class Pruned(Predictor):
    """One network of the signs that are sure: a synapse of mean below 1/2 in absolute value is 0.

    Its synapses are ternary, kept in two bits, and no longer those of packed arithmetic, which has no 0.

    *Assumes* that a synapse whose sign is in doubt adds noise and nothing else.  *Fails* where the posterior
    is broad: most synapses are 0, and units that need many weak inputs fall silent.  One notices by an
    accuracy below the mode's.  Energy counts a synapse of 0 as if it were there.
    """

    name = "pruned"

    def suits(self, guide: SynapticGuide) -> bool:
        """Return whether synapses are binary and not certain."""
        return guide.binary and not guide.point

    def networks(self, guide: SynapticGuide, seed: int) -> Source:
        """Return the pruned network."""
        return point_draws({k: w.sign() * (w.abs() >= 0.5) for k, w in guide.mean().items()})

    def bits_per_synapse(self, guide: SynapticGuide) -> int:
        """Return two bits, which hold three states."""
        return 2


class Scaled(Predictor):
    """Another predictor's mean vote at a temperature, see :func:`bisnn_pyro.analysis.scale_temperature`.

    Args:
        base: the predictor.
        temperature: T, as a rule fitted on the validation points.
    """

    def __init__(self, base: Predictor, temperature: float) -> None:
        self._base, self.temperature = base, temperature
        self.name = f"{base.name}{_SUFFIX}"

    @property
    def base(self) -> Predictor:
        """The predictor at temperature 1."""
        return self._base

    def suits(self, guide: SynapticGuide) -> bool:
        """Return whether the base suits it."""
        return self._base.suits(guide)

    def networks(self, guide: SynapticGuide, seed: int) -> Source | None:
        """Return the networks of the base."""
        return self._base.networks(guide, seed)

    def with_members(self, draws: int, scheme: str) -> Predictor:
        """Return the same at this temperature of the base's."""
        return Scaled(self._base.with_members(draws, scheme), self.temperature)

    def n_members(self, draws: int) -> int:
        """Return the number of networks of the base."""
        return self._base.n_members(draws)

    def bits_per_synapse(self, guide: SynapticGuide) -> int:
        """Return the bits of the base."""
        return self._base.bits_per_synapse(guide)

    def derived(self, prediction: Prediction) -> Prediction:
        """Return the base's mean vote at the temperature, as one member."""
        return Prediction(scale_temperature(prediction.mean, self.temperature)[None], path=prediction.path)


PREDICTORS: list[Predictor] = [Moments(), Committee(), Mode(), Mean(), Pruned()]
"""All predictors; the first that suits a guide is its default."""


def predictors_of(
    guide: SynapticGuide, temperatures: Mapping[str, float] | None = None, sharpness: float | None = None
) -> dict[str, Predictor]:
    """Return the predictors of a posterior by name, each followed by itself at its temperature if it has one.

    The sharpened committee is the last, where there is a factor for it.

    Example:
        >>> from bisnn_pyro.inference import AutoStraightThrough
        >>> list(predictors_of(AutoStraightThrough(lambda: None), {"mode": 1.5}))
        ['mode', 'mode-scaled']
    """
    found: dict[str, Predictor] = {}
    for predictor in [*PREDICTORS, *([] if sharpness is None else [Sharpened(sharpness)])]:
        if predictor.suits(guide):
            found[predictor.name] = predictor
            if temperatures and predictor.name in temperatures:
                scaled = Scaled(predictor, temperatures[predictor.name])
                found[scaled.name] = scaled
    return found


def base_name(name: str) -> str:
    """Return the name of the predictor whose networks vote: ``mode`` for ``mode-scaled``."""
    return name.removesuffix(_SUFFIX)


def legend(method: str, predictor: str) -> str:
    """Return the name of a method's predictor in a legend; the mode is the method itself.

    Example:
        >>> legend("bayes", "committee-scaled"), legend("straight-through", "mode")
        ('bayes (committee-scaled)', 'straight-through')
    """
    base = base_name(predictor)
    label = next((p.label for p in PREDICTORS if p.name == base and p.label is not None), base)
    label = (label + predictor.removeprefix(base)).removeprefix("-")
    return f"{method} ({label})" if label else method


def check_fits(config: Any, task: Any) -> None:
    """Refuse temperatures and sharpening where there are no class probabilities, or no points to fit on.

    Raises:
        ConfigError: if one is asked for in a regression, or without validation examples.
    """
    for key in ("temperature_scaling", "sharpening"):
        if not config.analysis.get(key):  # a run from before the key has none
            continue
        if task.kind != "classification":
            raise ConfigError(
                f"analysis.{key} is for classification, and the data are a {task.kind}; set it to false"
            )
        if not len(task.val):
            raise ConfigError(
                f"analysis.{key} needs validation examples, and the data keep none: set data.n_val"
            )


def fit_temperatures(votes: Mapping[str, Prediction], labels: Any) -> dict[str, float]:
    """Return each predictor's temperature fitted on validation points.

    The validation points also stop the training and pick the best epoch, where the config says so.
    """
    return {name: fit_temperature(vote.mean, labels) for name, vote in votes.items()}


FACTORS = (1.0, 2.0, 4.0, 8.0, 16.0, math.inf)
"""The factors that :func:`fit_sharpness` tries."""


def fit_sharpness(vote: Callable[[Predictor], Prediction], labels: Any) -> float:
    """Return the factor of :data:`FACTORS` whose sharpened committee has the least NLL; the lowest of equals.

    Args:
        vote: what lets a predictor vote on the validation points.
        labels: of these points ``[N]``.
    """
    return min(FACTORS, key=lambda factor: negative_log_likelihood(vote(Sharpened(factor)).mean, labels))


AT_LIMIT = (
    f"temperature at a limit of its fit ({LIMITS[0]:g}: hardly a mistake among the validation points; "
    f"{LIMITS[1]:g}: mistakes among the most confident), so that scaled scores say little"
)


def predictors_at_limit(runs: Iterable[tuple[str, Mapping[str, float]]]) -> list[str]:
    """Return the predictors whose temperature is at a limit of its fit, and in how many runs.

    Args:
        runs: for each run the name of its line and its temperatures by predictor (``metrics.json``).

    Example:
        >>> predictors_at_limit([("bayes", {"mode": 20.0}), ("bayes", {"mode": 1.3})])
        ['bayes mode (1 of 2 runs)']
    """
    found: dict[str, list[bool]] = {}
    for line, temperatures in runs:
        for predictor, temperature in temperatures.items():
            found.setdefault(f"{line} {predictor}", []).append(temperature in LIMITS)
    return [f"{name} ({sum(own)} of {len(own)} runs)" for name, own in found.items() if any(own)]


def limit_notes(runs: Iterable[tuple[str, Mapping[str, float]]]) -> list[str]:
    """Return the note for a table with scaled predictors; empty where every temperature was found."""
    names = predictors_at_limit(runs)
    return [f"{AT_LIMIT}: {', '.join(names)}"] if names else []
