"""The meanings of the settings, as they get into docstrings."""

import inspect
import re

import pytest

from bisnn_pyro.data.events.settings import MEANINGS, describe_settings
from bisnn_pyro.data.registry import TASKS, _find
from tests.data.events.writers import EVENT_SETS


@pytest.mark.parametrize("name", EVENT_SETS)
def test_every_task_explains_its_parameters_in_their_order(name):
    function = _find("data.name", name, TASKS)
    text = inspect.getdoc(function)
    arguments = text[text.index("\nArgs:\n") : text.index("\nReturns:\n")]
    names = re.findall(r"^ {4}(\w+): ", arguments, re.MULTILINE)
    assert names == list(inspect.signature(function).parameters)
    assert "DataError:" in text[text.index("\nRaises:\n") :]
    assert all(len(line) <= 110 for line in text.splitlines())


def test_a_tasks_own_meaning_takes_the_place_of_the_shared_one():
    @describe_settings(fold="Another thing.", more="Only here.")
    def task(seed, fold, more=3):
        """One line.

        Source.
        """

    assert inspect.signature(task).parameters["more"].default == 3
    start = f"One line.\n\nSource.\n\nArgs:\n    seed: {MEANINGS['seed']}\n    fold: Another thing.\n"
    assert task.__doc__.startswith(start + "    more: Only here.\n\nReturns:\n")


def test_a_parameter_without_a_meaning_is_an_error():
    with pytest.raises(KeyError, match="unexplained"):
        describe_settings()(lambda unexplained: None)
