"""Figures for a paper, each with the numbers behind it.

Every ``plot_*`` gives a :class:`~bisnn_pyro.analysis.figures.style.Plot`: a matplotlib figure made with the
object interface (nothing global, no window, no pyplot state) and the table of what it shows, both of
which :func:`~bisnn_pyro.analysis.figures.saving.save_figure` writes.
"""
