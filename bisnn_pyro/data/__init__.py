"""Data: tasks whose arrays are checked once, and encoders that turn features into spikes.

Every name is imported from here, ``from bisnn_pyro.data import two_moons``, and its module when it is first
used, so that listing presets does not wait for torch.  The list of names is ``__init__.pyi``, which type
checkers read too.
"""

from bisnn_pyro.lazy import lazily

__getattr__, __dir__ = lazily(globals())
