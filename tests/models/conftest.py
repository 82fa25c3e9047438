"""Every test of a model has one thread, and starts and ends with an empty parameter store."""

import pyro
import pytest
import torch


@pytest.fixture(autouse=True)
def _own_parameter_store():
    with pyro.get_param_store().scope():
        yield


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """Networks this small lose an order of magnitude to threads, more on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
