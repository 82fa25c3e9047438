import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import bernoulli

from bisnn_pyro.analysis import PredictedPoints, natural_parameters, run_inference_data, summarise_posterior
from bisnn_pyro.errors import DataError

naturals = hnp.arrays(
    np.float64, st.tuples(st.integers(1, 5), st.integers(1, 6)), elements=st.floats(-15, 15)
)


@given(naturals, st.floats(-3, 3))
def test_sums_over_synapses_written_out(natural, prior):
    found = summarise_posterior({"w": natural}, prior=prior)["w"]
    kl = entropy = undecided = 0.0
    q0 = 1 / (1 + np.exp(-2 * prior))
    for value in natural.ravel():
        q = 1 / (1 + np.exp(-2 * value))
        for a, b in ((q, q0), (1 - q, 1 - q0)):
            kl += a * np.log(a / b) if a > 0 else 0.0
        entropy += bernoulli(q).entropy()
        undecided += abs(2 * q - 1) < 0.5
    assert found.kl == pytest.approx(kl, abs=1e-9)
    assert found.entropy == pytest.approx(entropy, abs=1e-9)
    assert found.undecided == pytest.approx(undecided / natural.size)
    assert found.mean_size == pytest.approx(np.abs(np.tanh(natural)).mean())
    assert found.counts.sum() == found.n_synapses == natural.size


def test_by_hand():
    natural = {"a": np.array([[0.0, 2.0], [-2.0, 0.1]]), "b": np.array([[4.0]])}
    found = summarise_posterior(natural)
    a, b = found["a"], found["b"]
    assert list(found) == ["a", "b"]
    np.testing.assert_array_equal(a.edges, b.edges)
    assert (a.edges[0], a.edges[-1]) == (-4, 4)
    assert a.undecided == 0.5
    assert b.counts[-1] == 1
    coin = summarise_posterior({"w": np.zeros((2, 3))})["w"]
    assert (coin.kl, coin.undecided, coin.mean_size) == (0, 1, 0)
    assert coin.entropy == pytest.approx(6 * np.log(2))
    assert coin.row()["entropy_per_synapse"] == pytest.approx(np.log(2))


def test_threshold_is_strict():
    natural = {"w": np.arctanh([0.25, 0.5, 0.75])}
    for threshold, share in ((0.25, 0), (0.5, 1 / 3), (0.75, 2 / 3), (1, 1)):
        value = np.nextafter(threshold, 0)  # tanh(arctanh(x)) may round to either side of x
        assert summarise_posterior(natural, threshold=value)["w"].undecided == pytest.approx(share)


def test_a_point_is_the_limit():
    p = 0.8
    prior = 0.5 * np.log(p / (1 - p))
    found = summarise_posterior({"w": np.array([np.inf, np.inf, -np.inf])}, prior=prior)["w"]
    assert found.kl == pytest.approx(-2 * np.log(p) - np.log(1 - p))
    assert (found.entropy, found.undecided, found.mean_size) == (0, 0, 1)
    assert (found.counts[0], found.counts[-1]) == (1, 2)


def test_own_edges_hold_what_is_beyond():
    found = summarise_posterior({"w": np.array([-9.0, -0.5, 0.5, 9.0])}, edges=[-1, 0, 1])["w"]
    assert found.counts.tolist() == [2, 2]


def test_agrees_with_the_loss_of_training():
    torch = pytest.importorskip("torch")
    from bisnn_pyro.distributions.hyperbolic import sign_kl

    natural = np.random.default_rng(0).normal(scale=4, size=(30, 20))
    for prior in (0.0, 0.7):
        expected = sign_kl(torch.tensor(natural), torch.tensor(prior, dtype=torch.float64)).sum()
        assert summarise_posterior({"w": natural}, prior=prior)["w"].kl == pytest.approx(float(expected))


def container(**summaries):
    return run_inference_data(
        seed=0,
        test=PredictedPoints([0, 1], np.zeros((3, 2)), probabilities=np.full((3, 2, 2), 0.5)),
        summaries=summaries,
    )


def test_natural_parameters_of_a_container():
    natural = np.array([[0.5, -1.0, 2.0]])
    idata = container(
        **{"layers.0.weight_mean": np.tanh(natural), "layers.0.weight_natural_parameter": natural}
    )
    found = natural_parameters(idata)
    assert list(found) == ["layers.0.weight"]
    np.testing.assert_array_equal(found["layers.0.weight"], natural)


@pytest.mark.parametrize(
    ("idata", "words"),
    [
        (container(**{"layers.0.weight_mean": np.ones((2, 2))}), "no natural parameters"),
        (container(w_natural_parameter=np.ones((2, 3, 2))), "Gaussian"),
        (container(), "posterior_summary"),
    ],
)
def test_containers_without_them(idata, words):
    with pytest.raises(DataError, match=words):
        natural_parameters(idata)


@pytest.mark.parametrize(
    ("natural", "settings", "words"),
    [
        ({}, {}, "at least one"),
        ({"w": [np.nan]}, {}, "w .*NaN"),
        ({"w": [0.0]}, {"prior": np.inf}, "prior"),
        ({"w": [0.0]}, {"threshold": 0}, "threshold"),
        ({"w": [0.0]}, {"edges": [1, 1]}, "ascend"),
    ],
)
def test_bad_input(natural, settings, words):
    with pytest.raises(DataError, match=words):
        summarise_posterior(natural, **settings)
