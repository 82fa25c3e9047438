"""Uncertainty of a committee: what it is made of, what it detects, and how to act on it."""
