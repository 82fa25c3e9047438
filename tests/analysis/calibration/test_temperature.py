import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit, softmax

from bisnn_pyro.analysis import accuracy, fit_temperature, negative_log_likelihood, scale_temperature
from bisnn_pyro.analysis.calibration.temperature import LIMITS
from bisnn_pyro.errors import DataError
from tests.analysis.strategies import predictions


def test_scaling_is_a_softmax_of_divided_logits():
    logits = np.random.default_rng(0).normal(size=(20, 5))
    scaled = scale_temperature(softmax(logits, -1), 2.5)
    assert scaled == pytest.approx(softmax(logits / 2.5, -1), rel=1e-12)
    assert scale_temperature(scaled, 1.0) == pytest.approx(scaled, rel=1e-14)
    back = scale_temperature(scaled, 1 / 2.5)
    assert back == pytest.approx(softmax(logits, -1), rel=1e-12)


@pytest.mark.parametrize(("confidence", "right"), [(0.99, 80), (0.6, 90), (0.75, 75)])
def test_two_classes_of_one_confidence_have_a_closed_form(confidence, right):
    # Always as sure, right in a share a of the points: the best confidence is a itself, and
    # logit(confidence) / T = logit(a).
    labels = np.arange(100) % 2
    sure = np.where(np.arange(100) < right, labels, 1 - labels)
    probs = np.where(np.arange(2) == sure[:, None], confidence, 1 - confidence)
    t = fit_temperature(probs, labels, prior_scale=None)
    assert t == pytest.approx(logit(confidence) / logit(right / 100), rel=1e-9)
    assert scale_temperature(probs, t).max(-1) == pytest.approx(right / 100)


@pytest.mark.parametrize("t", [0.3, 1.0, 4.0])
def test_a_known_temperature_is_recovered(t):
    # Labels drawn from soft-max(z / t).  The NLL's curvature in 1/T is the mean variance of z under p_T, so
    # 1/T has standard error 1 / sqrt(N var); 4 of them: false alarms 6e-5.
    rng = np.random.default_rng(7)
    z = rng.normal(size=(20_000, 4))
    truth = softmax(z / t, -1)
    labels = (truth.cumsum(-1) < rng.uniform(size=(len(z), 1))).sum(-1).clip(max=3)
    variance = (truth * z**2).sum(-1) - (truth * z).sum(-1) ** 2
    error = 1 / np.sqrt(len(z) * variance.mean())
    found = fit_temperature(softmax(z, -1), labels, prior_scale=None)
    assert 1 / found == pytest.approx(1 / t, abs=4 * error)


def test_the_fit_is_the_minimum_that_an_independent_search_finds(predictor):
    probs, labels = predictor(400, 5, seed=3)
    z, rows = np.log(probs), np.arange(400)

    def nll(log_t):
        return -np.log(softmax(z / np.exp(log_t), -1)[rows, labels]).mean()

    found = minimize_scalar(nll, bounds=(-3, 3), method="bounded", options={"xatol": 1e-10})
    assert fit_temperature(probs, labels, prior_scale=None) == pytest.approx(np.exp(found.x), rel=1e-6)


@given(predictions(), st.floats(0.05, 20))
def test_no_temperature_has_a_lower_nll_and_none_changes_the_accuracy(pair, t):
    probs, labels = pair
    fitted = scale_temperature(probs, fit_temperature(probs, labels, prior_scale=None))
    best = negative_log_likelihood(fitted, labels)
    assert best <= negative_log_likelihood(scale_temperature(probs, t), labels) + 1e-9
    assert best <= negative_log_likelihood(probs, labels) + 1e-9
    assert fitted.sum(-1) == pytest.approx(1)
    for scaled in (fitted, scale_temperature(probs, t)):
        assert accuracy(scaled, labels) == accuracy(probs, labels)


def test_the_limits_come_back_where_no_minimum_is_between():
    sure = np.array([[0.9, 0.1], [0.2, 0.8]])
    assert fit_temperature(sure, [0, 1], prior_scale=None) == LIMITS[0]
    assert fit_temperature(np.eye(2), [0, 1], prior_scale=None) == LIMITS[0]
    assert fit_temperature(sure, [1, 0], prior_scale=None) == LIMITS[1]
    assert fit_temperature(np.full((2, 4), 0.25), [0, 3]) == 1.0


def test_a_sure_mistake_becomes_finite():
    # One point in four wrong at probability 0: logit(1 - tiny) / T = logit(3/4) lies far above the limit.
    probs, labels = np.eye(2)[[0, 1, 0, 1]], np.array([0, 1, 0, 0])
    assert negative_log_likelihood(probs, labels) == np.inf
    t = fit_temperature(probs, labels, prior_scale=None)
    assert t == LIMITS[1]
    expected = expit(np.log(np.finfo(float).tiny) / t)
    assert scale_temperature(probs, t).min(-1) == pytest.approx(expected)


def test_wrong_input_is_named():
    for t in (0.0, -1.0, np.inf, np.nan):
        with pytest.raises(DataError, match="temperature is"):
            scale_temperature([[0.5, 0.5]], t)
    with pytest.raises(DataError, match="Were logits given"):
        fit_temperature([[2.0, -1.0]], [0])
    with pytest.raises(DataError, match="labels"):
        fit_temperature([[0.5, 0.5]], [2])


def _objective(probs, labels, log_t, scale):
    scaled = scale_temperature(probs, np.exp(log_t))
    return -np.log(scaled[np.arange(len(labels)), labels]).sum() + log_t**2 / (2 * scale**2)


@pytest.mark.parametrize("scale", [0.1, 0.5, 3.0])
@pytest.mark.parametrize("confidence", [0.55, 0.9, 0.9999])
@pytest.mark.parametrize("mistakes", [0, 1, 3, 8])
def test_with_a_prior_the_fit_is_the_minimum_on_a_fine_grid(scale, confidence, mistakes):
    # No mistake, and some: with a wide prior and sure points the objective has flat stretches.
    labels = np.zeros(12, int)
    top = np.where(np.arange(12) < mistakes, 1, 0)
    probs = np.where(np.arange(3) == top[:, None], confidence, (1 - confidence) / 2)
    grid = np.linspace(*np.log(LIMITS), 20_001)
    values = np.array([_objective(probs, labels, t, scale) for t in grid])
    found = np.log(fit_temperature(probs, labels, prior_scale=scale))
    assert _objective(probs, labels, found, scale) <= values.min() + 1e-9
    assert found == pytest.approx(grid[values.argmin()], abs=1e-3)


def test_few_points_without_a_mistake_have_a_moderate_temperature():
    rng = np.random.default_rng(0)
    labels = rng.integers(10, size=240)
    z = rng.normal(size=(240, 10))
    z[np.arange(240), labels] += 6
    probs = softmax(z, -1)
    probs, labels = probs[probs.argmax(-1) == labels], labels[probs.argmax(-1) == labels]
    assert fit_temperature(probs, labels, prior_scale=None) == LIMITS[0]
    assert 0.2 < fit_temperature(probs, labels) < 1


def test_the_prior_fades_with_the_number_of_points():
    rng = np.random.default_rng(1)
    z = rng.normal(size=(5_000, 5)) * 2
    labels = (softmax(z / 1.6, -1).cumsum(-1) < rng.uniform(size=(len(z), 1))).sum(-1).clip(max=4)
    probs = softmax(z, -1)
    assert fit_temperature(probs, labels) == pytest.approx(
        fit_temperature(probs, labels, prior_scale=None), rel=0.01
    )
    few = slice(20)
    with_prior, without = (fit_temperature(probs[few], labels[few], prior_scale=s) for s in (0.1, None))
    assert abs(np.log(with_prior)) < abs(np.log(without))


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan, np.inf])
def test_a_prior_needs_a_positive_scale(scale):
    with pytest.raises(DataError, match="prior_scale"):
        fit_temperature([[0.9, 0.1]], [0], prior_scale=scale)
