"""A random state and a parameter store of their own for tests that use Pyro."""

from __future__ import annotations

import pyro
import torch


class OwnState:
    """Tests run in a parameter store and a random state of their own, and leave the caller's as they were."""

    seed = 1234

    def setup_method(self) -> None:
        """Start from an empty parameter store and a known random state."""
        self._store, self._random = pyro.get_param_store().get_state(), torch.get_rng_state()
        pyro.clear_param_store()
        torch.manual_seed(self.seed)

    def teardown_method(self) -> None:
        """Put both back."""
        pyro.clear_param_store()
        pyro.get_param_store().set_state(self._store)
        torch.set_rng_state(self._random)
