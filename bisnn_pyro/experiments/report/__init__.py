"""One page about finished runs: each section reads the runs and returns what to show, the template how."""
