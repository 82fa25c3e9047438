"""Bad input of every kind: one clear message, status 2, and nothing trained or written."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.robustness.bad_input import Case, by_hand, generated, table

HAND = list(by_hand())
LIMIT = {"BISNN_MAX_BYTES": "8e9"}  # the same refusals on machines of any size
LEAST = 400
"""Cases that the table has at least."""


@pytest.fixture
def problem(bisnn, tmp_path):
    """What is wrong with how a case ends; None if nothing is."""

    def check(case: Case) -> str | None:
        with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
            for name, content in case.files.items():
                (Path(folder) / name).write_bytes(content)
            done = bisnn(*case.arguments, cwd=folder, **(LIMIT | dict(case.variables)))
            left = {path.name for path in Path(folder).iterdir()} - set(case.files)
        said = done.stderr
        faults = [word for word in ("Traceback", "internal error", "call initialize") if word in said]
        if done.returncode == 2 and not faults and not left and case.word in said and len(said) < 3000:
            return None
        return f"{case}\n    status {done.returncode}, left {left}, {case.word!r} in: {said[-400:]}"

    return check


def test_the_table_is_long_enough():
    cases = {(case.arguments, *case.files.values(), *case.variables.values()) for case in table()}
    assert len(HAND) >= 250
    assert len(cases) >= LEAST


@pytest.mark.parametrize("case", HAND[::6], ids=str)
def test_some_bad_input_is_refused(case, problem):
    assert problem(case) is None


@pytest.mark.slow
def test_all_bad_input_by_hand_is_refused(problem):
    found = [fault for case in HAND if (fault := problem(case))]
    assert not found, f"{len(found)} of {len(HAND)}:\n" + "\n".join(found)


@pytest.mark.slow
def test_wrong_values_of_every_key_are_refused(problem, full):
    cases = list(generated())[:: 1 if full else 7]
    found = [fault for case in cases if (fault := problem(case))]
    assert len(cases) > 200
    assert not found, f"{len(found)} of {len(cases)}:\n" + "\n".join(found)
