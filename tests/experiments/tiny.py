"""A tiny experiment: every step of a real one in a second or two."""

TINY = """
experiment = "tiny"
methods = ["bayes", "straight-through", "full-precision"]
[data]
name = "two-moons"
n_train = 24
n_val = 16
n_test = 30
[encoder]
name = "population"
n_neurons = 4
n_steps = 12
[network]
hidden = [8, 8]
burn_in = 2
gain = 3.0
[train]
epochs = 3
batch_size = 8
validation_draws = 3
[predict]
draws = 4
[analysis]
resolution = 5
noise = [0.1]
[method.bayes.rule]
lr = 1.2
[method.straight-through.rule]
name = "adam"
lr = 0.01
[method.full-precision.rule]
name = "adam"
lr = 0.01
[tune]
"rule.lr" = { low = 0.001, high = 0.1, log = true }
"""
