"""``python -m bisnn_pyro`` is ``bisnn``."""

from bisnn_pyro.cli import main

main()
