"""Bayesian learning of spiking networks with binary synapses, in Pyro."""

__version__ = "0.1.0"
