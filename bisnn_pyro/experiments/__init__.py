"""Experiments: config, presets, runs and their folders."""
