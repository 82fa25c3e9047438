"""The same objects under Pyro's own SVI and Predictive: the model is an ordinary Pyro model."""

import pyro
import torch
from pyro.infer import SVI, Predictive, TraceMeanField_ELBO

from bisnn_pyro.inference import AutoRelaxedSign
from bisnn_pyro.models import BernoulliRate, SpikingGLM

pyro.set_rng_seed(0)
n, n_steps = 64, 20
x = torch.rand(n, 2)
y = (x[:, 0] > x[:, 1]).long()
spikes = (torch.rand(n_steps, n, 2) < x).float()  # [T, B, I]

model = SpikingGLM(2, [32], BernoulliRate(), gain=3.0, readout_gain=4.0)
guide = AutoRelaxedSign(model, estimator="relaxed", temperature=0.5)
svi = SVI(model, guide, pyro.optim.Adam({"lr": 0.1}), TraceMeanField_ELBO(num_particles=2))
for step in range(200):
    loss = svi.step(spikes, y)
    if step % 50 == 0:
        print(f"step {step:3d}: loss / n = {loss / n:.3f}")

model.eval()
guide.eval()  # from here on, draws in {-1, +1}
draws = Predictive(model, guide=guide, num_samples=50, parallel=True)(spikes)
print("weights drawn:", sorted(draws["layers.0.weight"].unique().tolist()))
print("accuracy of the sampled labels' mean:", float(((draws["y"].mean(0) > 0.5) == y.bool()).float().mean()))
