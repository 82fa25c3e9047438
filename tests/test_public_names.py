"""The names at the package's root."""

import subprocess
import sys

import pytest

import bisnn_pyro as bp


@pytest.mark.parametrize("name", bp.__all__)
def test_every_name_can_be_imported(name):
    assert getattr(bp, name) is not None


def test_dir_lists_the_api():
    assert {"Learner", "Runs", "SpikingGLM", "load_preset", "load_run", "predict", "run"} <= set(dir(bp))
    assert dir(bp) == sorted(bp.__all__)


def test_star_import():
    names: dict[str, object] = {}
    exec("from bisnn_pyro import *", names)
    assert names["SpikingGLM"] is bp.SpikingGLM


def test_unknown_name():
    with pytest.raises(AttributeError, match="'SpikingGML'"):
        bp.SpikingGML  # noqa: B018


def test_import_needs_no_torch():
    code = (
        "import sys, bisnn_pyro as bp; dir(bp); print(sorted({'torch', 'pyro', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
