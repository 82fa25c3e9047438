"""Bad input of every kind: one clear message, status 2, and nothing trained or written."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from bisnn_pyro.errors import InputError
from bisnn_pyro.experiments.batch import plan
from bisnn_pyro.experiments.resolve import load_source, resolve
from bisnn_pyro.toml import parse_overrides
from tests.experiments.tiny import TINY
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


def resolved_or_refused(call) -> None:
    """Anything but an error of the user's own is a fault of the package."""
    with contextlib.suppress(InputError):
        call()


@st.composite
def damaged(draw) -> bytes:
    """A config in which bytes are changed, cut out and put in."""
    text = bytearray(TINY.encode())
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text) - 1))
        kind = draw(st.sampled_from(["flip", "cut", "insert", "double"]))
        if kind == "flip":
            text[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "cut":
            del text[at : at + draw(st.integers(1, 30))]
        elif kind == "insert":
            text[at:at] = draw(st.binary(max_size=8))
        else:
            text[at:at] = text[at : at + draw(st.integers(1, 60))]
        text = text or bytearray(b"x")
    return bytes(text)


FUZZ = settings(deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


def check_file(folder: Path, content: bytes) -> None:
    path = folder / "fuzz.toml"
    path.write_bytes(content)
    resolved_or_refused(lambda: plan(str(path)))


@settings(FUZZ, max_examples=25)
@given(damaged())
def test_damaged_files_are_refused_or_resolve(tmp_path_factory, content):
    check_file(tmp_path_factory.getbasetemp(), content)


@settings(FUZZ, max_examples=25)
@given(st.text(max_size=30), st.text(max_size=30))
def test_any_text_of_an_override_is_refused_or_parsed(key, value):
    resolved_or_refused(lambda: parse_overrides([f"{key}={value}"]))
    resolved_or_refused(lambda: parse_overrides([f"train.{key}={value}"]))


KEYS = ["train.epochs", "rule.lr", "guide.temperature", "network.hidden", "data.name", "encoder.name", "tune"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(FUZZ, max_examples=25)
@given(st.sampled_from(KEYS), VALUES)
def test_any_value_from_python_is_refused_or_resolves(key, value):
    table, _, name = key.partition(".")
    changes = {table: {name: value} if name else value}
    resolved_or_refused(lambda: resolve(load_source("two-moons"), "bayes", overrides=changes))


@pytest.mark.slow
def test_many_damaged_files_are_refused_or_resolve(tmp_path, full):
    @settings(FUZZ, max_examples=5000 if full else 400)
    @given(damaged())
    def check(content):
        check_file(tmp_path, content)

    check()
