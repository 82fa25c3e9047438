"""What a run changes in its process, and puts back."""

import pytest
import torch

from bisnn_pyro.errors import ModelError
from bisnn_pyro.inference import Schedule, steady_process


def flushes():
    return float(torch.tensor([torch.finfo(torch.float32).tiny]) / 2) == 0.0


def test_threads_and_denormals_are_put_back():
    threads = torch.get_num_threads()
    assert not flushes()
    with steady_process(1):
        assert torch.get_num_threads() == 1
        assert flushes()
    assert torch.get_num_threads() == threads
    assert not flushes()


def test_put_back_after_an_error_and_when_nested():
    with steady_process(1):
        with pytest.raises(ModelError), steady_process():
            Schedule(0.0, shape="exponential")
        assert flushes()
    assert not flushes()


def test_import_changes_nothing():
    import subprocess
    import sys

    code = (
        "import torch\n"
        "n, s, d = torch.get_num_threads(), torch.get_rng_state(), torch.get_default_dtype()\n"
        "import bisnn_pyro.experiments.api, pyro\n"
        "assert torch.get_num_threads() == n and torch.equal(torch.get_rng_state(), s)\n"
        "assert torch.get_default_dtype() == d and len(pyro.get_param_store()) == 0\n"
        "assert float(torch.tensor([torch.finfo(torch.float32).tiny]) / 2) > 0\n"
        "assert pyro.settings.get('module_local_params') is False"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
