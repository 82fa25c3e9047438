"""A preset, a run, a posterior that predicts raw inputs (a short version of the two-moons preset)."""

import tempfile

import bisnn_pyro

config = bisnn_pyro.load_preset(
    "two-moons", method="bayes", train={"epochs": 10}, analysis={"figures": False}
)
result = bisnn_pyro.run(config, tempfile.mkdtemp())
print(result.metrics["predictors"]["committee"])

posterior = bisnn_pyro.load_run(result.path)
prediction = posterior.predict([[0.0, 1.0], [1.0, -0.5], [0.5, 0.25]])
print("P(class 1) by the committee:", prediction.mean[:, 1].round(3))
print("and its spread over members:", prediction.draws[:, :, 1].std(axis=0).round(3))
