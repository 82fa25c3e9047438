"""The examples of docstrings run, and print what they say."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest

import bisnn_pyro

PACKAGE = Path(bisnn_pyro.__file__).parent
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def modules():
    """The modules that hold examples, by their dotted names."""
    for file in sorted(PACKAGE.rglob("*.py")):
        if ">>> " in file.read_text(encoding="utf-8"):
            parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("name", [*modules()])
def test_examples_of_docstrings(name, monkeypatch, tmp_path):
    """Run in an empty folder, so that an example that writes leaves nothing behind."""
    monkeypatch.chdir(tmp_path)
    results = doctest.testmod(import_module(name), optionflags=FLAGS)
    assert results.attempted, f"{name}: '>>>' stands in no docstring"
    assert not results.failed, f"{name}: see the report above"
