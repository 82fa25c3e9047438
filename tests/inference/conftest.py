"""Fixtures of all inference tests."""

import pyro
import pytest
import torch


@pytest.fixture(autouse=True)
def own_state():
    """An empty parameter store and a fixed random state for each test; the caller's are put back."""
    random = torch.get_rng_state()
    with pyro.get_param_store().scope():
        torch.manual_seed(0)
        yield
    torch.set_rng_state(random)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Networks this small lose an order of magnitude to threads, more on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def local_params():
    """Parameters that stay in their modules, as Pyro recommends."""
    before = pyro.settings.get("module_local_params")
    pyro.settings.set(module_local_params=True)
    yield
    pyro.settings.set(module_local_params=before)
