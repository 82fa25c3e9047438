"""Figures for a paper, each with the numbers behind it.

Every ``plot_*`` takes arrays, and axes to draw into (a new figure of a column's width without), and gives a
:class:`~bisnn_pyro.analysis.figures.style.Plot`: the axes, their matplotlib figure, made with the object
interface (nothing global, no window, no pyplot state), and the table of what it shows.
:func:`~bisnn_pyro.analysis.figures.saving.save_figure` writes figure and table.

The look is in one style file, ``bisnn.mplstyle``, that applies while a figure is drawn or saved and never
longer; ``matplotlib.style.context("bisnn_pyro.analysis.figures.bisnn")`` gives it to figures of one's own.
"""
