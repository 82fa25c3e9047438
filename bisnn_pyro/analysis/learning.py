"""Whether a training has learned anything, and the likeliest causes if it has not."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bisnn_pyro.analysis.scores.constant import ConstantPredictor

DID_NOT_LEARN = "did not learn"
"""How the warning of a training begins that learned nothing."""

_MOST = 0.5
"""Share of the synapses from which their state explains a failure."""
_CLOSE = 0.02
"""Distance to a constant prediction's loss, in nats or relative to it, that counts as being there."""
_FEW = 100
"""Updates below which a training is short."""
_DECIDED = 0.98
"""Bits per synapse from which a posterior has decided nothing."""
_TEMPERATURES = 0.05, 20.0
"""Temperatures outside of which a relaxed draw has hardly a gradient."""

Row = Mapping[str, float]


def learning_warnings(
    history: Sequence[Row],
    best: int,
    constant: ConstantPredictor,
    y_train: ArrayLike,
    y: ArrayLike,
    scores: Callable[[], Mapping[str, Row]],
    where: str,
    n_updates: int,
    x: NDArray[Any],
) -> list[str]:
    """Return the warning of a training that learned nothing, with its three likeliest causes; else nothing.

    Nothing was learned where no predictor beats the constant one, see :meth:`ConstantPredictor.beaten_by`.

    Args:
        history: one row of numbers per epoch, as in ``history.csv``.
        best: the best epoch, from 1; if its validation beats the constant predictor, nothing else is asked.
        constant: the constant predictor.
        y_train: targets of the training set.
        y: targets `[N]` of validation points, or of others if there are none.
        scores: returns the scores of all predictors on these points.
        where: what these points are.
        n_updates: steps of the training.
        x: some of the inputs.

    Example:
        >>> constant = ConstantPredictor.fit([0, 1], n_classes=2)
        >>> row = {"nll": 0.69, "unmoved": 1.0, "lr_scale": 1.0}
        >>> scores = {"mode": {"nll": 0.7, "accuracy": 0.5}}
        >>> y = [0, 1]
        >>> (text,) = learning_warnings(
        ...     [row], 1, constant, y, y, lambda: scores, "2 points", 9, np.eye(2)
        ... )
        >>> text.partition("(1) ")[2].partition(":")[0]
        '100% of the synapses have not moved from their start'
    """
    row = history[best - 1] if 0 < best <= len(history) else {}
    validated = {name.removeprefix("val_"): value for name, value in row.items() if name.startswith("val_")}
    if validated and constant.beaten_by(validated, y):
        return []
    found = list(scores().values())
    if any(constant.beaten_by(one, y) for one in found):
        return []
    alike = len(x) > 1 and bool(np.all(x == x[:1]))
    nll = [r["nll"] for r in history if math.isfinite(r.get("nll", math.nan))]
    causes = _causes(row, nll, constant.metrics(y_train)["nll"], alike, constant.certain, n_updates)
    listed = "; ".join(f"({k}) {cause}" for k, cause in enumerate(islice(causes, 3), 1))
    own, one = constant.metrics(y), min(found, key=lambda one: one.get("rmse", one["nll"]))
    names = [name for name in ("nll", "accuracy", "rmse") if name in one]
    against = ", ".join(f"{name} {one[name]:.4g} against {own[name]:.4g}" for name in names)
    return [
        f"{DID_NOT_LEARN}: no predictor is better than the constant one on {where} ({against}). "
        f"The likeliest causes: {listed}"
    ]


def not_learned(metrics: Mapping[str, Any]) -> list[str]:
    """Return the warning in ``metrics.json`` that nothing was learned, if there is one.

    Example:
        >>> not_learned({"warnings": ["K = 0.1: ...", "did not learn: ..."]})
        ['did not learn: ...']
    """
    return [text for text in metrics.get("warnings", ()) if text.startswith(DID_NOT_LEARN)]


def _causes(
    row: Row,
    nll: Sequence[float],
    constant_nll: float,
    inputs_alike: bool,
    targets_alike: bool,
    n_updates: int,
) -> Iterator[str]:
    """Yield causes, those that the facts name first, then what is usual."""
    by_gradient = "lr_scale" in row  # expectation backpropagation has no learning rate
    if inputs_alike:
        yield "all inputs are the same: look at the data with bisnn data inspect, and at the encoder"
    if targets_alike:
        yield "all training targets are the same: there is nothing to learn"
    yield from _of_synapses(row, by_gradient)
    if nll:
        yield from _of_losses(nll, constant_nll, by_gradient, saturated=row.get("saturated", 0.0) >= _MOST)
    if n_updates < _FEW:
        yield f"there were only {n_updates} updates: raise train.epochs"
    if by_gradient and max(row.get("saturated", 0.0), row.get("unmoved", 0.0)) < _MOST:
        yield "rule.lr does not suit: try values ten times smaller and ten times larger"
    yield "the network does not suit the data: change network.gain, network.hidden or [encoder]"
    yield "the inputs say little about the targets: look at the data with bisnn data inspect"
    yield "the training is too short: raise train.epochs"


def _of_synapses(row: Row, by_gradient: bool) -> Iterator[str]:
    """Yield what the synapses themselves say."""
    saturated, unmoved = row.get("saturated", 0.0), row.get("unmoved", 0.0)
    temperature, beta = row.get("temperature"), row.get("kl_weight", 0.0)
    if saturated >= _MOST:
        yield f"{saturated:.0%} of the synapses are saturated: {_smaller_steps(by_gradient)}"
    if temperature is not None and not _TEMPERATURES[0] <= temperature <= _TEMPERATURES[1]:
        yield f"at guide.temperature = {temperature:g} a draw has no useful gradient: set it near 1"
    if unmoved >= _MOST:
        yield f"{unmoved:.0%} of the synapses have not moved from their start: {_larger_steps(by_gradient)}"
    undecided = row.get("entropy_bits", 0.0) >= _DECIDED and row.get("kl_time", 0.0) >= 1
    if undecided or (beta >= 10 and saturated < _MOST):
        yield (
            f"the KL outweighs the data at train.kl_weight = {beta:g} and keeps the posterior at its prior: "
            "lower it"
        )


def _of_losses(
    nll: Sequence[float], constant_nll: float, by_gradient: bool, *, saturated: bool
) -> Iterator[str]:
    """Yield what the training loss says, against its start: read-outs of hidden layers add to it."""
    first, last = nll[0], nll[-1]
    close = _CLOSE * max(1.0, abs(first))
    if last < first - 5 * close or last < constant_nll - 5 * close:
        yield (
            f"the training loss fell to {last:.4g} and validation did not follow: there are too few "
            "examples, or their labels say little about their inputs"
        )
    elif last > min(nll) + 5 * close and not saturated:
        yield f"the training loss rose to {last:.4g}: {_smaller_steps(by_gradient)}"
    elif abs(last - first) <= close and not saturated:
        same = ", that of a constant prediction" if abs(last - constant_nll) <= close else ""
        yield (
            f"the training loss stayed at {last:.4g}{same}: too few or too many spikes reach the read-out; "
            "change network.gain or the encoder"
        )


def _smaller_steps(by_gradient: bool) -> str:
    if by_gradient:
        return "lower rule.lr, or bound a step with rule.max_step"
    return "lower train.batch_size, whose updates are summed"


def _larger_steps(by_gradient: bool) -> str:
    return "raise rule.lr, or train.epochs" if by_gradient else "raise train.epochs, or guide.init_scale"
