"""Window 1 with window_kl_scale 1 is the released code's online rule, transcribed here step by step."""

import math

import pytest
import torch

from bisnn_pyro.inference import AutoRelaxedSign, BayesianLearningRule, GradientSteps, Learner, TrainSettings
from bisnn_pyro.inference.seeding import Purpose, seeded
from bisnn_pyro.models import BinaryPrior, SpikingGLM, ThresholdNeuron, TimeConstants
from bisnn_pyro.models.likelihoods import BernoulliSteps, CategoricalSteps
from tests.inference.tiny import make_points

N_STEPS, ETA, P, TAU, BETA = 14, 0.024, 0.7, 0.5, 0.4
TAUS = 4.0, 3.0, 2.0
CONSTANTS = TimeConstants(*TAUS)
GAIN = 1.7
SEED = 5


def encode(x, generator=None):
    """Constant currents in double precision."""
    x = x.double()
    return torch.cat((x, 1 - x), dim=-1).expand(N_STEPS, -1, -1).contiguous()


class OnlineReference:
    """One update per step with fresh noise; traces P, Q, R carried over; local losses only.

    Weights are relaxed draws; u = g W P / (sqrt(I) K) - R with K the trace's response to a constant input;
    the read-out is fixed; the gradient is written out by hand: no autograd.
    """

    def __init__(self, naturals, readouts):
        self.naturals, self.readouts = [n.clone() for n in naturals], readouts

    def run(self, inputs, labels):
        a, b, c = (math.exp(-1 / t) for t in (CONSTANTS.membrane, CONSTANTS.synapse, CONSTANTS.refractory))
        n, prior = inputs.shape[1], 0.5 * math.log(P / (1 - P))
        eta, rho = ETA, BETA / n
        layers = range(len(self.naturals))
        sizes = [(lam.shape[1], lam.shape[0]) for lam in self.naturals]
        trace_p, trace_q = ([inputs.new_zeros(n, i) for i, _ in sizes] for _ in range(2))
        trace_r, last = ([inputs.new_zeros(n, o) for _, o in sizes] for _ in range(2))
        for x in inputs:
            draws = []
            for lam in self.naturals:
                u = torch.rand(lam.shape, dtype=lam.dtype)
                draws.append(torch.tanh((lam + 0.5 * torch.log(u / (1 - u))) / TAU))
            for k in layers:
                trace_p[k], trace_q[k] = a * trace_p[k] + trace_q[k], b * trace_q[k] + x
                trace_r[k] = c * trace_r[k] + last[k]
                scale = GAIN / math.sqrt(sizes[k][0]) * (1 - a) * (1 - b)
                potential = scale * trace_p[k] @ draws[k].T - trace_r[k]
                x = last[k] = (potential >= 0).double()
                r = x @ self.readouts[k].T
                if r.shape[1] == 1:
                    error = torch.sigmoid(r) - labels[:, None].double()
                else:
                    error = torch.softmax(r, -1) - torch.nn.functional.one_hot(labels, r.shape[1])
                # An example's nll is the mean over steps; the paper's loss is the mean over examples.
                window = ((potential > -0.5) & (potential <= 0.5)).double()
                delta = error @ self.readouts[k] * window / (N_STEPS * n)
                gradient = scale * delta.T @ trace_p[k]
                lam, w = self.naturals[k], draws[k]
                sc = (1 - w**2) / (TAU * (1 - torch.tanh(lam) ** 2))
                self.naturals[k] = (1 - eta * rho) * lam - eta * (sc * gradient - rho * prior)


def make_net(likelihood):
    neuron = ThresholdNeuron(*TAUS)
    net = SpikingGLM(4, (6, 5), likelihood, prior=BinaryPrior(P), neuron=neuron, gain=GAIN)
    return net.double()


@pytest.mark.parametrize(
    "likelihood", [BernoulliSteps, lambda: CategoricalSteps(2)], ids=["bernoulli", "softmax"]
)
def test_learner_with_window_1(likelihood):
    x, y = make_points(8)
    net = make_net(likelihood())
    guide = AutoRelaxedSign(net, estimator="relaxed", temperature=TAU, init_scale=1.0)
    learner = Learner(
        net,
        guide,
        encode,
        GradientSteps(lambda model, guide: [BayesianLearningRule(guide.parameters(), lr=ETA)]),
        TrainSettings(epochs=1, batch_size=8, window=1, window_kl_scale=1.0, kl_weight=BETA),
        seed=SEED,
    )

    twin = make_net(likelihood())
    twin_guide = AutoRelaxedSign(twin, estimator="relaxed", temperature=TAU, init_scale=1.0)
    with seeded(SEED, Purpose.TRAINING):
        twin_guide.initialize(encode(x[:1]), y[:1])
        start = list(twin_guide.natural_parameters().values())
        reference = OnlineReference(start, [twin.random_readout_0, twin.random_readout_1])
        reference.run(encode(x), y)

    learner.fit(x, y.double())
    for name, before, expected in zip(net.weight_sites, start, reference.naturals, strict=True):
        after = guide.natural_parameters()[name]
        assert (expected - before).abs().max() > 1e-3
        torch.testing.assert_close(after, expected, rtol=1e-6, atol=1e-9)
