"""Calibration: reliability bins, errors, curves without bins, parts of the Brier score, temperatures."""
