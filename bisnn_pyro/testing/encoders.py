"""What every encoder must do, as a suite for pytest.

Subclass it in a test file and define how to make the encoder::

    class TestMyEncoder(EncoderContract):
        def make(self):
            return MyEncoder(n_steps=20)
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..data import Encoder


class EncoderContract:
    """The tests; each is independent and takes milliseconds."""

    n_features = 3
    seed = 1234
    currents = (0.0, 1.0)
    """Range of the output where it is not binary; override it for an encoder that has another."""

    def make(self) -> Encoder:
        """Return the encoder under test; to be overridden."""
        raise NotImplementedError("define make() to return the encoder to test")

    def batch(self, size: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Features ``[B, F]`` in [0, 1], both ends included; override for other inputs."""
        generator = torch.Generator().manual_seed(self.seed)
        x = torch.rand(size, self.n_features, generator=generator, dtype=torch.float64)
        if size >= 2:
            x[0], x[1] = 0.0, 1.0
        return x.to(dtype)

    def encode(self, x: Tensor, seed: int | None = 0) -> Tensor:
        """Encode with a fresh generator of that seed; None for no generator."""
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        return self.make()(x, generator)

    def test_shape_is_time_batch_inputs(self) -> None:
        """``[T, B, I]``, with T and I as declared by the encoder."""
        encoder = self.make()
        out = self.encode(self.batch(5))
        assert out.shape == (encoder.n_steps, 5, encoder.n_inputs(self.n_features))

    def test_values(self) -> None:
        """Spikes are 0 or 1; currents are in their range."""
        out = self.encode(self.batch(16))
        if self.make().binary:
            assert bool(((out == 0) | (out == 1)).all()), "binary encoder gave values other than 0 and 1"
        else:
            low, high = self.currents
            assert bool(((out >= low) & (out <= high)).all()), f"currents outside [{low}, {high}]"

    def test_dtype_is_that_of_the_features(self) -> None:
        """Single and double precision go through unchanged."""
        for dtype in (torch.float32, torch.float64):
            assert self.encode(self.batch(4, dtype)).dtype == dtype

    def test_same_seed_same_bits(self) -> None:
        """The output is a function of features and seed."""
        x = self.batch(16)
        assert torch.equal(self.encode(x, 7), self.encode(x, 7))

    def test_seed_matters_only_if_stochastic(self) -> None:
        """Stochastic: other seed, other bits.  Deterministic: the same, generator or not."""
        x = self.batch(16)
        if self.make().deterministic:
            assert torch.equal(self.encode(x, 7), self.encode(x, 8))
            assert torch.equal(self.encode(x, 7), self.encode(x, None))
        else:
            assert not torch.equal(self.encode(x, 7), self.encode(x, 8))

    def test_generator_moves_on_only_if_stochastic(self) -> None:
        """Two calls on one generator give fresh spikes, as an epoch needs."""
        encoder, x = self.make(), self.batch(16)
        generator = torch.Generator().manual_seed(self.seed)
        first, second = encoder(x, generator), encoder(x, generator)
        assert torch.equal(first, second) == encoder.deterministic

    def test_each_encodes_one_by_one(self) -> None:
        """A method ``each`` gives what the encoder makes of every example alone under its seed."""
        encoder, x, seeds = self.make(), self.batch(5), [3, -1, 2**63 - 1, 0, 3]
        if not hasattr(encoder, "each"):
            return
        alone = [self.encode(x[i : i + 1], seed) for i, seed in enumerate(seeds)]
        assert torch.equal(encoder.each(x, seeds), torch.cat(alone, dim=1))

    def test_stochastic_encoder_refuses_to_run_without_generator(self) -> None:
        """No fall-back on the global generator."""
        if self.make().deterministic:
            return
        try:
            self.encode(self.batch(4), None)
        except ValueError:
            return
        raise AssertionError("a stochastic encoder ran without a generator")

    def test_empty_batch(self) -> None:
        """No examples in, no examples out."""
        encoder = self.make()
        out = self.encode(self.batch(0))
        assert out.shape == (encoder.n_steps, 0, encoder.n_inputs(self.n_features))

    def test_examples_are_independent(self) -> None:
        """Deterministic encoders give an example the same output in any company."""
        if not self.make().deterministic:
            return
        x = self.batch(6)
        alone = torch.cat([self.encode(x[i : i + 1]) for i in range(6)], dim=1)
        assert torch.equal(alone, self.encode(x))

    def test_leaves_features_and_global_generators_alone(self) -> None:
        """Neither torch's nor numpy's global generator moves, and ``x`` is not written to."""
        x = self.batch(8)
        copy = x.clone()
        torch_state = torch.get_rng_state()
        numpy_state = np.random.get_state()[1].copy()  # type: ignore[index, union-attr]  # noqa: NPY002
        self.encode(x)
        assert torch.equal(torch.get_rng_state(), torch_state)
        assert np.array_equal(np.random.get_state()[1], numpy_state)  # type: ignore[index]  # noqa: NPY002
        assert torch.equal(x, copy)
