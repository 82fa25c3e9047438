"""Scores of predictions: point by point, their means, and along time or the size of a committee."""
