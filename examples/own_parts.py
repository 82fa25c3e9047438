"""One part of each kind, to be named in a config: see own_parts.toml, and run this file to train with it."""

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import bisnn_pyro as bp
from bisnn_pyro.data import Encoder, LabelMap, Split, Task
from bisnn_pyro.models import Prior, Surrogate


def diagonal(n_train: int = 100, n_val: int = 50, n_test: int = 200, seed: int = 0) -> Task:
    """Points of the unit square, in two classes on either side of the diagonal.

    Args:
        n_train: Training points.
        n_val: Validation points.
        n_test: Test points.
        seed: Seed of the points.
    """
    rng, labels = np.random.default_rng(seed), LabelMap([0, 1])

    def part(n: int) -> Split:
        x = rng.random((n, 2), dtype=np.float32)
        return Split(x, labels.encode((x.sum(1) > 1).astype(int)))

    parts = part(n_train), part(n_val), part(n_test)
    return Task("diagonal", "classification", *parts, labels.names, labels=labels)


@dataclass(frozen=True)
class OnOffEncoder(Encoder):
    """Two inputs per feature, one for its value and one for the rest to 1; spikes are drawn in every step.

    Args:
        n_steps: Number of time steps T.
    """

    n_steps: int = 30
    deterministic = False
    binary = True

    def n_inputs(self, n_features: int) -> int:
        return 2 * n_features

    def __call__(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        rates = torch.cat([x, 1 - x], -1)
        return (torch.rand(self.n_steps, *rates.shape, generator=generator) < rates).to(x)


@dataclass(frozen=True)
class GaussianBump(Surrogate):
    """A Gaussian surrogate gradient.

    Args:
        width: Its standard deviation.
    """

    def derivative(self, u: Tensor) -> Tensor:
        return torch.exp(-0.5 * (u / self.width) ** 2) / (self.width * math.sqrt(2 * math.pi))


class LayerPrior(Prior):
    """Binary synapses, fair in narrow layers and inhibitory on average in wide ones.

    Args:
        p: Probability of +1 in layers with more than `wide` inputs.
        wide: Number of inputs.
    """

    binary = True

    def __init__(self, p: float = 0.4, wide: int = 16) -> None:
        super().__init__()
        self.wide, self.narrow, self.other = wide, bp.BinaryPrior(0.5), bp.BinaryPrior(p)

    def distribution(self, shape):
        return (self.other if shape[-1] > self.wide else self.narrow).distribution(shape)


class SharpRate(bp.CategoricalRate):
    """The rate likelihood with read-outs multiplied by a constant.

    Args:
        sharpness: The constant.
    """

    def __init__(self, n_classes: int, sharpness: float = 2.0) -> None:
        super().__init__(n_classes)
        self.sharpness = sharpness

    def distribution(self, readout, y, window):
        return super().distribution(self.sharpness * readout, y, window)

    def predict(self, readout, window=None):
        return super().predict(self.sharpness * readout, window)


class AutoTiltedSign(bp.AutoRelaxedSign):
    """The Bernoulli guide, started with more positive synapses.

    Args:
        tilt: What is added to the initial natural parameters.
    """

    def __init__(self, model, *, tilt: float = 0.05, **settings) -> None:
        super().__init__(model, **settings)
        self.tilt = tilt

    def _initial(self, prior, shape):
        return {"natural": super()._initial(prior, shape)["natural"] + self.tilt}


class SignDescent(torch.optim.Optimizer):
    """Steps of one size, against the sign of the gradient.

    Args:
        lr: The size of a step.
    """

    def __init__(self, params, lr: float = 0.01) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.sub_(group["lr"] * parameter.grad.sign())


if __name__ == "__main__":
    config = bp.load_preset(Path(__file__).with_suffix(".toml"), trust=True)
    result = bp.run(config, tempfile.mkdtemp(), trust=True)
    print(result)
    print(bp.load_run(result.path, trust=True))
