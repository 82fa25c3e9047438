"""Bayesian learning of spiking networks with binary synapses, in Pyro.

``import bisnn_pyro as bp`` has what most users need, whichever part of the package defines it: networks,
priors and likelihoods; guides, rules and the learner; presets, runs, finished runs and studies of them.  Each
name is imported at its first use, so the import itself needs neither torch nor Pyro.  ``__init__.pyi`` holds
the names, also for type checkers, and ``dir(bisnn_pyro)`` lists them.

Example:
    >>> import bisnn_pyro as bp
    >>> config = bp.load_preset("two-moons", method="bayes", seed=1)
    >>> config.experiment, config.method, config.train.batch_size
    ('two-moons', 'bayes', 40)
"""

from bisnn_pyro.lazy import lazily

__version__ = "0.1.0"
__getattr__, __dir__ = lazily(globals())
