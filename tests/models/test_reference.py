"""Moments on the reference batch: bit for bit those of running it from the start for each layer, and once."""

import pytest
import torch

from bisnn_pyro.models import Conv, Moments
from bisnn_pyro.models.simulation import LayerRun
from tests.models.test_deep_networks import ARCHITECTURES, build, draw, inputs

DEEP = {**ARCHITECTURES, "deep": [Conv(3, 2, pooling="mean", pool=2), 5, 4, 6]}


def from_the_start(model, weights, n_examples):
    """Each layer's moments with the layers before it run anew, part by part."""
    parts = model.reference.split(n_examples, dim=-2)
    found = []
    for k, synapses in enumerate(model.synapses):
        moments = []
        for x in parts:
            for depth, pool in enumerate(model.pools[:k]):
                layer = LayerRun(model.neuron, model.synapses[depth], pool, weights, depth)
                current = layer.synapses.finished(layer.sums(x, None, carry=False)[0], found[depth])
                s, *_ = layer.fire(current, None, through_time=False, record=False)
                x = s if pool is None else pool(s)
            sums, _ = LayerRun(model.neuron, synapses, None, weights, k).sums(x, None, carry=False)
            moments.append(synapses.normalisation.moments(sums))
        found.append(Moments.merged(moments, [part.shape[-2] for part in parts]))
    return found


@pytest.fixture
def model(request, monkeypatch):
    monkeypatch.setitem(ARCHITECTURES, "deep", DEEP["deep"])
    model = build(request.param, normalise=True).eval()
    model.set_reference(inputs(6))
    return model


@pytest.mark.parametrize("model", DEEP, indirect=True)
@pytest.mark.parametrize("draws", [(), (3,)])
@pytest.mark.parametrize("n_examples", [2, 4, 6])
def test_same_bits(model, draws, n_examples):
    weights = draw(model, draws)
    with torch.no_grad():
        expected = from_the_start(model, weights, n_examples)
    found = model.reference_moments(weights, n_examples)
    assert len(found) == len(expected) == len(model.layers)
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours.mean, theirs.mean)
        assert torch.equal(ours.variance, theirs.variance)


@pytest.mark.parametrize("model", ["deep"], indirect=True)
@pytest.mark.parametrize(("n_examples", "sums"), [(2, 3 * 7), (6, 4)])
def test_each_part_goes_through_a_layer_once(model, n_examples, sums, monkeypatch):
    """Three parts are summed for the moments and again to fire, but in the last layer; a single one once."""
    calls = {"fire": 0, "sums": 0}
    for name in calls:
        original = getattr(LayerRun, name)

        def counted(self, *args, name=name, original=original, **kwargs):
            calls[name] += 1
            return original(self, *args, **kwargs)

        monkeypatch.setattr(LayerRun, name, counted)
    model.reference_moments(draw(model), n_examples)
    assert calls == {"fire": 3 * (6 // n_examples), "sums": sums}
