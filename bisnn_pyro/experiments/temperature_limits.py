"""Temperatures at a limit of their fit, which say that there was too little to fit them on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bisnn_pyro.analysis import LIMITS

WHAT = (
    f"temperature at a limit of its fit ({LIMITS[0]:g}: hardly a mistake among the validation points; "
    f"{LIMITS[1]:g}: mistakes among the surest), so that -scaled says little"
)


def predictors_at_limit(runs: Iterable[tuple[str, Mapping[str, float]]]) -> list[str]:
    """Return the predictors whose temperature is at a limit of its fit, and in how many runs.

    Args:
        runs: name of a line with the temperatures of one of its runs, by predictor (``metrics.json``).

    Returns:
        Such as ``"straight-through mode (5 of 5 runs)"``.
    """
    found: dict[str, list[bool]] = {}
    for line, temperatures in runs:
        for predictor, temperature in temperatures.items():
            found.setdefault(f"{line} {predictor}", []).append(temperature in LIMITS)
    return [f"{name} ({sum(own)} of {len(own)} runs)" for name, own in found.items() if any(own)]


def limit_notes(runs: Iterable[tuple[str, Mapping[str, float]]]) -> list[str]:
    """Return the note for a table with ``-scaled`` predictors, none where all temperatures were found.

    Args:
        runs: as for :func:`predictors_at_limit`.
    """
    names = predictors_at_limit(runs)
    return [f"{WHAT}: {', '.join(names)}"] if names else []
