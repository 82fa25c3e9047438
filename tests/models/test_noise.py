"""Noise of hidden units: the same in any chunks, independent elsewhere, and of the right frequency."""

import numpy as np
import torch

from bisnn_pyro.models import CategoricalRate, EscapeNeuron, PointNoise, SimulationPlan, SpikingGLM

T, N, UNITS = 12, 7, 5
INPUTS = (torch.rand(T, N, 4, generator=torch.Generator().manual_seed(0)) < 0.5).float()


def noise(points=slice(None), members=range(3), start=0, seed=0, layer=0, n_steps=T, dtype=torch.float32):
    of_points = PointNoise.of(INPUTS, seed).part(points, members, start)
    shape = (len(members), n_steps, len(of_points.points), UNITS)
    return of_points(layer, torch.zeros(shape, dtype=dtype))


def test_any_chunks_give_the_same():
    whole = noise()
    assert torch.equal(noise(slice(2, 5)), whole[:, :, 2:5])
    assert torch.equal(noise(members=range(1, 3)), whole[1:])
    assert torch.equal(noise(start=4, n_steps=3), whole[:, 4:7])
    few = PointNoise.of(INPUTS[:, 3:6].to(torch.uint8), 0)
    assert torch.equal(few(0, torch.zeros(T, 3, UNITS)), whole[0, :, 3:6])


def test_everything_else_gives_other_numbers():
    parts = (noise(), noise(layer=1), noise(seed=1), noise(members=range(3, 6)))
    assert len({float(u) for part in parts for u in part.double().flatten()}) > 0.99 * 4 * parts[0].numel()
    assert noise(dtype=torch.float64).dtype == torch.float64


def test_frequency_of_escape_spikes():
    # 40,000 units of independent potentials without a reset; 5 standard errors: a false alarm in 2e6.
    neuron, u = EscapeNeuron(reset=0.0, delta=0.5), 0.3
    inputs = (torch.rand(10, 200, 8, generator=torch.Generator().manual_seed(1)) < 0.5).float()
    source = PointNoise.of(inputs, 0)
    spikes, _, _ = neuron.drawing(lambda x: source(0, x)).fire(torch.full((10, 200, 20), u), None)
    p = 1 / (1 + np.exp(-u / 0.5))
    assert abs(float(spikes.mean()) - p) < 5 * np.sqrt(p * (1 - p) / spikes.numel())


def test_reference_batch_has_noise_of_its_own():
    net = SpikingGLM(
        4, [6, UNITS], CategoricalRate(3), neuron=EscapeNeuron(), normalise=True, gain=2.0
    ).eval()
    net.set_reference(INPUTS[:, :4])
    weights = {k: torch.randn(2, *s).sign() for k, s in net.weight_shapes.items()}
    whole = PointNoise.of(INPUTS, 0).part(slice(None), range(2))
    expected = net.reference_moments(weights, 4, whole)
    # In other parts, with other points, and as a matter of course in a simulation.
    for n, of in ((1, whole), (3, whole.part(slice(2, 3)))):
        for one, other in zip(net.reference_moments(weights, n, of), expected, strict=True):
            for a, b in zip(one, other, strict=True):
                torch.testing.assert_close(a, b)
    run = net.simulate(weights, INPUTS, plan=SimulationPlan(noise=whole))
    given = net.simulate(weights, INPUTS, plan=SimulationPlan(noise=whole, moments=expected))
    assert torch.equal(run.spikes[-1], given.spikes[-1])
