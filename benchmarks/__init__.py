"""Benchmarks: ratios of our times to other programs' times for the same work (see NOTES.md)."""
