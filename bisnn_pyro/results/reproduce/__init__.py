"""A paper's comparison from data to a folder of figures and LaTeX tables."""
