"""Descriptions of hidden layers, and the sizes that follow from them."""

import math

import pytest
import torch

from bisnn_pyro.errors import ModelError
from bisnn_pyro.models import (
    CategoricalProbit,
    CategoricalRate,
    Conv,
    ConvSynapses,
    Dense,
    DenseSynapses,
    RecurrentSynapses,
    SignNetwork,
    SpikingGLM,
)

IMAGE = (2, 9, 8)
HIDDEN = (Conv(4, 3, padding=1, pool=2), Conv(3, 3, stride=2, padding=1), Dense(7, recurrent=True), 5)


def build(hidden=HIDDEN, image_shape=IMAGE, n_inputs=None, **options):
    n_inputs = math.prod(image_shape) if n_inputs is None else n_inputs
    return SpikingGLM(n_inputs, hidden, CategoricalRate(3), image_shape=image_shape, **options)


def test_sizes_follow_from_layer_to_layer():
    model = build(readout="trained")
    kinds = [ConvSynapses, ConvSynapses, RecurrentSynapses, DenseSynapses]
    assert [type(layer) for layer in model.synapses] == kinds
    # 9 x 8 maps, pooled to 4 x 4, then 2 x 2 by the stride.
    assert [layer.n_inputs for layer in model.synapses] == [2 * 9 * 8, 4 * 4 * 4, 3 * 2 * 2, 7]
    assert [layer.n_units for layer in model.synapses] == [4 * 9 * 8, 3 * 2 * 2, 7, 5]
    assert [None if pool is None else pool.pooled for pool in model.pools] == [(4, 4, 4), None, None, None]
    assert [layer.channels_last for layer in model.synapses[:2]] == [False, True]
    assert model.weight_shapes == {
        "layers.0.weight": (4, 2 * 3 * 3),
        "layers.1.weight": (3, 4 * 3 * 3),
        "layers.2.weight": (7, 12),
        "layers.2.recurrent": (7, 7),
        "layers.3.weight": (5, 7),
        "readout.weight": (3, 5),
    }
    assert model.weight_sites == tuple(model.weight_shapes)
    assert [tuple(model.random_readout(k).shape) for k in range(4)] == [(3, 64), (3, 12), (3, 7), (3, 5)]
    assert set(model.random_readout(0).abs().flatten().tolist()) == {1 / 8}


def test_the_last_layer_may_be_pooled():
    model = build([Conv(4, 3, padding=1, pool=3)], credit="end-to-end", readout="trained")
    assert model.weight_shapes["readout.weight"] == (3, 4 * 3 * 2)


def test_a_number_is_a_dense_layer():
    one, other = build([5, 4]), build([Dense(5), Dense(4)])
    assert one.weight_shapes == other.weight_shapes
    assert list(one.state_dict()) == list(other.state_dict())


def test_drawn_weights_have_their_shapes_and_prior():
    drawn = build(readout="trained").draw_weights()
    assert {name: tuple(w.shape) for name, w in drawn.items()} == build(readout="trained").weight_shapes
    assert all(bool((w.abs() == 1).all()) for w in drawn.values())


def test_activity_is_that_of_the_units_before_pooling():
    model = build()
    weights = {name: torch.randn(shape).sign() for name, shape in model.weight_shapes.items()}
    spikes = (torch.rand(6, 3, model.synapses[0].n_inputs) < 0.4).float()
    run, report = model.simulate(weights, spikes), model.activity(weights, spikes)
    for k, layer in enumerate(model.synapses):
        assert run.spikes[k].shape == run.potentials[k].shape == (6, 3, layer.n_units)
        assert report[f"rate_{k}"] == pytest.approx(float(run.spikes[k].mean()))
        assert report[f"within_{k}"] == pytest.approx(float((run.potentials[k].abs() <= 0.5).float().mean()))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Dense(0), "units must be a whole number, at least 1, not 0"),
        (lambda: Dense(2.5), "units must be a whole number"),
        (lambda: Conv(0, 3), "channels must be"),
        (lambda: Conv(4, 0), "kernel must be"),
        (lambda: Conv(4, 3, stride=0), "stride must be"),
        (lambda: Conv(4, 3, padding=-1), "padding must be a whole number, at least 0, not -1"),
        (lambda: Conv(4, 3, pool=0), "pool must be"),
        (lambda: Conv(4, 3, pooling="min"), "pooling must be 'max' or 'mean', not 'min'"),
    ],
)
def test_bad_descriptions_are_refused(make, message):
    with pytest.raises(ModelError, match=message):
        make()


@pytest.mark.parametrize(
    ("hidden", "options", "message"),
    [
        ([], {}, "needs inputs and hidden layers, not 144 and"),
        ([4], {"n_inputs": 0}, "needs inputs and hidden layers, not 0 and"),
        ([4, 0], {}, "hidden layer 1: units must be"),
        (
            [Conv(4, 3)],
            {"image_shape": None, "n_inputs": 9},
            r"layer 0: .* image_shape = \(C, H, W\), or",
        ),
        ([Conv(4, 3)], {"n_inputs": 100}, "an input for each value .* 100 inputs: use an encoder"),
        ([Conv(4, 3)], {"image_shape": (9, 8), "n_inputs": 72}, "an input for each value"),
        (
            [Conv(4, 10)],
            {},
            "hidden layer 0: a kernel of 10 x 10 does not fit into images of 9 x 8",
        ),
        ([Conv(4, 3, pool=7)], {}, "hidden layer 0: pool = 7 does not fit into maps of 7 x 6"),
        ([Conv(4, 3, pool=3), Conv(4, 3)], {}, "hidden layer 1: a kernel of 3 x 3 .* images of 2 x 2"),
        ([4, Conv(4, 3)], {}, "hidden layer 1: a convolution cannot follow a dense layer"),
        ([Conv(4, 3), 4, Conv(4, 3)], {}, "hidden layer 2: a convolution cannot follow"),
    ],
)
def test_layers_that_do_not_fit_together_are_refused(hidden, options, message):
    with pytest.raises(ModelError, match=message):
        build(hidden, **options)


def test_sign_units_have_plain_dense_layers():
    with pytest.raises(ModelError, match="numbers of units"):
        SignNetwork(18, [Conv(4, 3)], CategoricalProbit(2))
