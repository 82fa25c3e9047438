"""Operations counted in a run against counts spike by spike."""

import numpy as np
import pytest
import torch

import bisnn_pyro
from bisnn_pyro.analysis import LATERAL, OperationEnergies, spiking_inference
from bisnn_pyro.derived.activity import check_countable, layer_activity
from bisnn_pyro.errors import InputError, ModelError
from bisnn_pyro.experiments.batch import plan
from bisnn_pyro.experiments.build import build_task
from bisnn_pyro.experiments.run import run
from bisnn_pyro.inference import encode_all
from bisnn_pyro.models import (
    BernoulliRate,
    Conv,
    Dense,
    SignNetwork,
    SingleStepNeuron,
    SpikingGLM,
    ThresholdNeuron,
)
from bisnn_pyro.results.studies.energy import NON_SPIKING, WIDE, energy_study, inference_work

QUIET = ["analysis.figures=false", "analysis.noise=[]", "train.epochs=1"]
SYNAPSES = 8 * 8 + 8 * 8


def run_tiny(source, out, method, *overrides):
    (config,) = plan(source, [method], overrides=[*QUIET, *overrides])
    return run(config, out)


def connected(synapses):
    """Which units each input reaches, ``[I, O]``, by feeding it alone."""
    weight = torch.ones(synapses.fan_out, synapses.fan_in)
    return synapses.product(torch.eye(synapses.n_inputs)[None], weight)[0] > 0


def walked(model, weights, inputs):
    """(operations, spikes) of each layer and the read-out in all examples, spike by spike."""
    sent = model.simulate({k: w[0] for k, w in weights.items()}, inputs).spikes
    found, x = [], inputs
    for synapses, spikes, pool in zip(model.synapses, sent, model.pools, strict=True):
        ops = sum(float(x[t, b, i]) * int(connected(synapses)[i].sum()) for t, b, i in x.nonzero())
        ops += float(spikes.sum()) * (synapses.n_units if "recurrent" in synapses.shapes else 0)
        found.append((ops, float(spikes.sum())))
        x = spikes if pool is None else pool(spikes) * (pool.window**2 if pool.kind == "mean" else 1)
    return [*found, (float(x.sum()) * model.likelihood.n_outputs, 0.0)]


NETWORKS = {
    "dense": (6, [4, Dense(3, recurrent=True)], None),
    "conv": (
        32,
        [Conv(3, 3, stride=1, padding=1), Conv(2, 2, stride=1, pool=2, pooling="mean"), 4],
        (2, 4, 4),
    ),
    "strided": (25, [Conv(3, 3, stride=2, padding=1, pool=2), 5], (1, 5, 5)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_events_are_spikes_times_what_they_reach(name):
    torch.manual_seed(0)
    n_inputs, hidden, image_shape = NETWORKS[name]
    neuron = ThresholdNeuron(3.0, 2.0, 2.0)
    model = SpikingGLM(
        n_inputs,
        hidden,
        BernoulliRate(),
        image_shape=image_shape,
        gain=4.0,
        neuron=neuron,
        credit="end-to-end",
        readout="trained",
    ).eval()
    weights = {k: torch.randint(0, 2, (1, *shape)) * 2.0 - 1 for k, shape in model.weight_shapes.items()}
    inputs = (torch.rand(7, 4, n_inputs) < 0.4).float()
    with torch.no_grad():
        chunks = [(part, model.simulate(weights, part)) for part in inputs.split(3, dim=1)]
        layers = layer_activity(model, iter(chunks), 4, 7)
        expected = walked(model, weights, inputs)
    assert [y.events * 4 for y in layers] == pytest.approx([ops for ops, _ in expected])
    assert [y.spikes * 4 for y in layers] == pytest.approx([fired for _, fired in expected])
    assert all(fired > 0 for _, fired in expected[:-1])
    assert [y.products for y in layers] == [0] * len(layers)
    for layer, synapses in zip(layers, model.synapses, strict=False):
        assert layer.connections == int(connected(synapses).sum())
        assert layer.updates == 7 * synapses.n_units
    if name == "dense":
        assert layers[1].lateral == 9
        assert layers[1].update == layers[0].update + LATERAL


def test_a_constant_current_is_multiplied_once():
    model = SpikingGLM(5, [4], BernoulliRate(), neuron=SingleStepNeuron(0.0)).eval()
    weights = {k: torch.ones(1, *shape) for k, shape in model.weight_shapes.items()}
    still = torch.rand(1, 3, 5).expand(6, -1, -1)
    for inputs, times in ((still, 1), (still.contiguous(), 6)):
        with torch.no_grad():
            hidden, readout = layer_activity(model, [(inputs, model.simulate(weights, inputs))], 3, 6)
        assert (hidden.products, hidden.events) == (20 * times, 0)
        assert readout.events == 6 * 4  # all units fire at each step


def test_signs_are_dense():
    model = SignNetwork(5, [4, 3], BernoulliRate()).eval()
    weights = {k: torch.ones(1, *shape) for k, shape in model.weight_shapes.items()}
    inputs = torch.rand(1, 6, 5)
    with torch.no_grad():
        layers = layer_activity(model, [(inputs, model.simulate(weights, inputs))], 6, 1)
    assert [y.products for y in layers] == [20, 12, 3]
    assert [y.input_bits for y in layers] == [32, 1, 1]
    work = spiking_inference(layers, 1)
    assert (work.add_int, work.spikes) == (15, 0)


def test_work_of_a_run(source, tmp_path):
    result = run_tiny(source, tmp_path, "bayes")
    fitted = bisnn_pyro.load_run(result.path)
    x = build_task(fitted.config).test.x
    found = inference_work(fitted, x)
    assert list(found) == ["committee", "mode", "mean", "pruned", WIDE, NON_SPIKING]
    (block,) = encode_all(fitted.encoder, torch.as_tensor(x), fitted.config.predict.seed)
    inputs = block.float()
    members = fitted.guide.sample_posterior(4, seed=fitted.config.predict.seed, scheme="latin-hypercube")
    own = {
        "mode": [fitted.guide.mode()],
        "committee": [{k: w[i] for k, w in members.items()} for i in range(4)],
    }
    for predictor, networks in own.items():
        spikes = [fitted.model.simulate(w, inputs).spikes for w in networks]
        ops = sum(8 * inputs.sum() + 8 * a.sum() + b.sum() for a, b in spikes) / len(x)
        assert found[predictor].synaptic_ops == pytest.approx(float(ops))
        assert found[predictor].spikes == pytest.approx(result.metrics["spikes_per_inference"][predictor])
    assert found["committee"].unit_updates == 4 * found["mode"].unit_updates == 4 * 12 * (8 + 8 + 1)
    assert found[WIDE].synaptic_ops == found["mode"].synaptic_ops
    assert found[NON_SPIKING].synaptic_ops == 64 + 64 + 8
    assert found["mean"].add_float > found["mode"].add_float
    pruned = found["pruned"]  # adds and subtracts whole numbers: no more floats than the mode
    assert (pruned.add_float, pruned.multiply_float) == (
        found["mode"].add_float,
        found["mode"].multiply_float,
    )


def test_table_over_seeds(source, tmp_path):
    for seed in (0, 1):
        for method in ("bayes", "full-precision"):
            (config,) = plan(source, [method], [seed], overrides=QUIET)
            result = run(config, tmp_path / "runs")
    before = (result.path / "metrics.json").read_bytes()
    table = energy_study([tmp_path / "runs"], tmp_path / "energy.csv").table
    rows = {(row["method"], row["predictor"]): row for row in table.numbers}
    assert len(rows) == 6 + 2
    assert all(row["n"] == 2 for row in rows.values())
    bayes = rows["bayes", "mode"]
    assert bayes["weight_bits"] == SYNAPSES
    assert rows["bayes", "committee"]["weight_bits"] == 4 * SYNAPSES
    assert (
        rows["bayes", WIDE]["weight_bits"] == rows["full-precision", "mode"]["weight_bits"] == 32 * SYNAPSES
    )
    assert ("full-precision", WIDE) not in rows
    assert rows["bayes", NON_SPIKING]["spikes"] is None
    assert bayes["energy_nj"] == pytest.approx(bayes["compute_nj"] + bayes["memory_nj"])
    assert "at most 250 test points" in table.plain()
    assert "weight_bits" in (tmp_path / "energy.csv").read_text()
    free = energy_study([result.path], energies=OperationEnergies(0, 0, 0, 0)).table
    assert all(row["energy_nj"] == 0 for row in free.numbers)
    assert (result.path / "metrics.json").read_bytes() == before


class OwnNeuron(ThresholdNeuron):
    pass


def test_operations_of_ones_own_parts_are_not_known():
    model = SpikingGLM(5, [4], BernoulliRate(), neuron=OwnNeuron())
    with pytest.raises(ModelError, match="OwnNeuron are not known"):
        check_countable(model)


def test_analytic_predictors_are_left_out(ebp):
    rows = {row["predictor"]: row for row in energy_study([ebp]).table.numbers}
    assert list(rows) == ["committee", "mode", "pruned", WIDE, NON_SPIKING]
    assert rows["mode"]["spikes"] is None
    assert rows["mode"]["synaptic_ops"] == 64 * 12 + 12 * 10
    assert rows["committee"]["energy_nj"] == pytest.approx(2 * rows["mode"]["energy_nj"])
    assert np.isfinite(rows["mode"]["energy_nj"])


def test_seeds_of_different_networks_are_not_averaged(tmp_path):
    for seed, units in enumerate((4, 5)):
        changes = [f"network.hidden=[{units}]", f"seed={seed}", "data.n_train=40", "data.n_test=20"]
        run_tiny("two-moons", tmp_path / str(seed), "straight-through", *changes)
    runs = [tmp_path / "0", tmp_path / "1"]
    with pytest.raises(InputError, match=r"\[network\] of .* differs"):
        energy_study(runs)
