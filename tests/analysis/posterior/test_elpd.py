import warnings

import numpy as np
import pytest
from scipy.stats import norm

from bisnn_pyro.analysis import PredictedPoints, compare_models, held_out_elpd, loo_elpd, run_inference_data
from bisnn_pyro.errors import DataError


def container(log_likelihood, observed=None, seed=0):
    """A run that says the same about its training points as about its test points."""
    values = np.asarray(log_likelihood, dtype=float)
    target = np.zeros(values.shape[1]) if observed is None else observed
    points = PredictedPoints(target, values, means=np.zeros(values.shape))
    return run_inference_data(seed=seed, test=points, train=points)


def conjugate(n_draws=4000, n_points=40, shift=0.0, seed=0):
    """Draws of the posterior of a normal mean under a flat prior, and the exact LOO predictive density."""
    rng = np.random.default_rng(seed)
    y = np.random.default_rng(9).normal(size=n_points)
    draws = rng.normal(y.mean() + shift, 1 / np.sqrt(n_points), size=n_draws)
    without = (y.sum() - y) / (n_points - 1)
    exact = norm.logpdf(y, without, np.sqrt(1 + 1 / (n_points - 1)))
    return container(norm.logpdf(y, draws[:, None]), y, seed), exact


def test_held_out_elpd_is_the_log_of_the_mean():
    values = np.log(np.random.default_rng(0).uniform(size=(7, 5)))
    found = held_out_elpd(values)
    expected = [np.log(np.mean([np.exp(v) for v in column])) for column in values.T]
    np.testing.assert_allclose(found.pointwise, expected, rtol=1e-12)
    assert found.elpd == pytest.approx(sum(expected))
    assert found.se == pytest.approx(np.sqrt(5) * np.std(expected, ddof=1))
    assert (found.n_draws, found.n_bad, found.warnings) == (7, None, ())


def test_a_point_that_all_draws_rule_out():
    found = held_out_elpd([[-np.inf, 0.0], [-np.inf, 0.0]])
    assert found.elpd == -np.inf
    assert np.isnan(found.se)


def test_loo_against_the_exact_posterior():
    idata, exact = conjugate()
    found = loo_elpd(idata)
    np.testing.assert_allclose(found.pointwise, exact, atol=0.02)
    assert found.elpd == pytest.approx(exact.sum(), abs=0.1)
    assert found.p_loo == pytest.approx(1, abs=0.2)  # one parameter
    assert found.n_bad == 0
    assert found.warnings == ()


def test_comparison_of_conditioned_points():
    (one, exact), (other, _) = conjugate(), conjugate(shift=1.0, seed=1)
    table = compare_models(
        {"off": other, "right": one, "point": container(np.zeros((1, 40)), observed_of(one))},
        conditioned=True,
    )
    rows = {row["model"]: row for row in table.numbers}
    assert list(rows) == ["right", "off", "point"]
    assert rows["right"]["elpd"] == pytest.approx(exact.sum(), abs=0.1)
    assert (rows["right"]["difference"], rows["right"]["se_difference"]) == (0, 0)
    difference = loo_elpd(other).pointwise - loo_elpd(one).pointwise
    assert rows["off"]["difference"] == pytest.approx(difference.sum())
    assert rows["off"]["se_difference"] == pytest.approx(np.sqrt(40) * difference.std(ddof=1))
    assert rows["right"]["weight"] + rows["off"]["weight"] == pytest.approx(1, abs=0.02)
    assert rows["right"]["weight"] > 0.9
    assert rows["point"]["elpd"] is None
    assert any("point: LOO is not defined for a point estimate" in note for note in table.notes)
    assert "point" in table.plain()


def observed_of(idata):
    from bisnn_pyro.analysis import group

    return group(idata, "observed_data")["y"].values


def test_warnings_of_arviz_are_notes():
    rng = np.random.default_rng(0)
    heavy = container(10 * rng.standard_t(1.5, size=(50, 20)).clip(-50, 50))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = compare_models(
            {"heavy": heavy, "fine": container(rng.uniform(size=(400, 20)))}, conditioned=True
        )
    (row,) = [row for row in table.numbers if row["model"] == "heavy"]
    assert row["bad_k"] > 0
    assert any(note.startswith("heavy: ArviZ: Estimated shape parameter of Pareto") for note in table.notes)
    assert not any(note.startswith("fine: ArviZ") for note in table.notes)
    assert "Pareto" in table.markdown()


def test_held_out_points_take_point_estimates_too():
    rng = np.random.default_rng(0)
    draws = np.log(rng.uniform(0.2, 1, size=(6, 30)))
    point = np.log(rng.uniform(0.1, 0.9, size=(1, 30)))
    table = compare_models({"point": container(point), "bayes": container(draws)}, conditioned=False)
    assert table.header == ["model", "n_draws", "elpd", "se", "difference", "se_difference"]
    bayes, own = table.numbers
    assert (bayes["model"], own["model"]) == ("bayes", "point")
    assert own["elpd"] == pytest.approx(point.sum())
    assert own["difference"] == pytest.approx(point.sum() - held_out_elpd(draws).elpd)
    (note,) = table.notes
    assert note.startswith("elpd in nats over 30 points, on which nothing was conditioned")


def test_one_model_alone():
    table = compare_models({"bayes": conjugate(400)[0]}, conditioned=True)
    assert "weight" not in table.header
    assert len(table.body) == 1


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.zeros((1, 3)), "point estimate"),
        (np.zeros((3, 3)), "at least 5 draws"),
        (np.full((9, 3), -np.inf), "-inf"),
    ],
)
def test_where_loo_is_not_defined(values, words):
    with pytest.raises(DataError, match=words):
        loo_elpd(container(values))


def test_other_points_do_not_compare():
    one, other = container(np.zeros((9, 3))), container(np.zeros((9, 3)), np.ones(3))
    with pytest.raises(DataError, match="different points"):
        compare_models({"a": one, "b": other}, conditioned=False)
    with pytest.raises(DataError, match="no models"):
        compare_models({}, conditioned=False)


def test_loo_takes_the_log_likelihoods_themselves():
    values = np.random.default_rng(0).normal(-1.0, 0.1, size=(50, 8))
    found = loo_elpd(values)
    np.testing.assert_allclose(found.pointwise, loo_elpd(container(values)).pointwise)
    with pytest.raises(DataError, match="log_likelihood"):
        loo_elpd(values[0])
