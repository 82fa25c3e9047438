"""Ground truth: the mean-field and the exact posterior of a network that is small enough to enumerate."""

import torch

from bisnn_pyro.inference import (
    AutoRelaxedSign,
    BayesianLearningRule,
    GradientSteps,
    Learner,
    Schedule,
    TrainSettings,
    exact_posterior,
)
from bisnn_pyro.models import BernoulliRate, SpikingGLM

torch.manual_seed(0)
n_steps, n = 15, 20
x = torch.rand(n, 3)
y = (x[:, 0] > x[:, 1]).long()
spikes = (torch.rand(n_steps, n, 3) < x).float()

model = SpikingGLM(3, [4], BernoulliRate(), credit="end-to-end", gain=2.0, readout_gain=2.0)
exact = exact_posterior(model, spikes, y)
print(f"log evidence by enumeration of 2^12 networks: {float(exact.log_evidence):.3f}")

guide = AutoRelaxedSign(model, estimator="relaxed", temperature=Schedule(1.0, 0.3, "exponential"))
learner = Learner(
    model,
    guide,
    lambda batch, generator: batch.transpose(0, 1),  # ready spikes [B, T, I]
    GradientSteps(lambda model, guide: [BayesianLearningRule(guide.parameters(), lr=0.4)]),
    TrainSettings(epochs=400, batch_size=n, particles=8),
)
learner.fit(spikes.transpose(0, 1), y)

print("posterior mean of each synapse, exact and mean-field:")
for a, b in zip(
    exact.mean()["layers.0.weight"].flatten(), guide.mean()["layers.0.weight"].flatten(), strict=True
):
    print(f"  {float(a):+.2f}  {float(b):+.2f}")
