"""What all tests of guides share: the guide to test, a tiny model, and a state of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pyro
import torch
from torch import Tensor

from bisnn_pyro.inference import SynapticGuide
from bisnn_pyro.models import BinaryPrior, CategoricalRate, Prior, SpikingGLM

Model = Callable[..., Any]


class GuideSuite:
    """Tests of a guide; each is independent and takes milliseconds.

    They run in a parameter store and a random state of their own, and leave the caller's as they were.
    """

    seed = 1234

    def make(self, model: Model) -> SynapticGuide:
        """Return a fresh guide for a model; to be overridden."""
        raise NotImplementedError("say in make() which guide to test")

    def prior(self) -> Prior:
        """Return a prior that the guide is for; override it for real-valued synapses."""
        return BinaryPrior(0.6)

    def model(self) -> SpikingGLM:
        """Return a tiny model, whose synapses all have this prior."""
        return SpikingGLM(
            3, [4], CategoricalRate(2), prior=self.prior(), credit="end-to-end", readout="trained"
        )

    def setup_method(self) -> None:
        """Start from an empty parameter store and a known random state."""
        self._store = pyro.get_param_store().get_state()
        self._random = torch.get_rng_state()
        pyro.clear_param_store()
        torch.manual_seed(self.seed)

    def teardown_method(self) -> None:
        """Put both back."""
        pyro.clear_param_store()
        pyro.get_param_store().set_state(self._store)
        torch.set_rng_state(self._random)

    def data(self) -> tuple[Tensor, Tensor]:
        """Return input spikes ``[T, B, I]`` and labels ``[B]``."""
        generator = torch.Generator().manual_seed(self.seed)
        spikes = (torch.rand(8, 5, 3, generator=generator) < 0.5).float()
        return spikes, torch.arange(5) % 2

    def ready(self, model: SpikingGLM | None = None) -> tuple[SpikingGLM, SynapticGuide]:
        """Return a model and a guide that has its parameters."""
        model = model or self.model()
        guide = self.make(model)
        guide.initialize(*self.data())
        return model, guide

    @staticmethod
    def _shapes(guide: SynapticGuide) -> dict[str, torch.Size]:
        return {name: w.shape for name, w in guide.mode().items()}

    @staticmethod
    def _same_draws(one: SynapticGuide, other: SynapticGuide) -> None:
        assert one.sites == other.sites
        first, second = (guide.sample_posterior(3, seed=9) for guide in (one, other))
        assert all(torch.equal(first[name], second[name]) for name in one.sites)


@contextmanager
def raises(kind: type[BaseException], words: str = "") -> Iterator[None]:
    """Expect an error whose message contains ``words``."""
    message = None
    try:
        yield
    except kind as error:
        message = str(error)
    assert message is not None, f"{kind.__name__} expected"
    assert words in message, f"the message does not say {words!r}: {message}"


@contextmanager
def module_local_params(value: bool) -> Iterator[None]:
    """Set Pyro's switch and put it back."""
    before = pyro.settings.get("module_local_params")
    pyro.settings.set(module_local_params=value)
    try:
        yield
    finally:
        pyro.settings.set(module_local_params=before)
