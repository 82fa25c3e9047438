"""What a prompt shows of exported networks: sizes, and no arrays."""

import numpy as np

from bisnn_pyro.exports import ExportedNetwork


def test_exported_network_shows_sizes_and_no_weights():
    header = {
        "experiment": "digits",
        "method": "bayes",
        "seed": 1,
        "network": "mode",
        "n_inputs": 64,
        "neuron": {"kind": "threshold"},
        "layers": [{"n_units": 100}, {"n_units": 20}],
    }
    weights = {"a.weight": np.ones((100, 64), np.int8), "b.weight": np.ones((20, 100), np.int8)}
    network = ExportedNetwork(header, weights, {"a.scale": np.ones(3, np.float32)})
    assert repr(network).splitlines() == [
        "ExportedNetwork(experiment digits, method bayes, seed 1, network mode)",
        "  network: 64 inputs -> 100 -> 20, threshold neurons",
        "  weights: 8,400 signs, 1,062 bytes with constants",
    ]
