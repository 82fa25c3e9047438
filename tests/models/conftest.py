"""Every test of a model starts and ends with an empty parameter store."""

import pyro
import pytest


@pytest.fixture(autouse=True)
def _own_parameter_store():
    with pyro.get_param_store().scope():
        yield
