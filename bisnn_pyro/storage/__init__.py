"""Files that are what was written: strict JSON, SHA-256 of each, one writer at a time, nothing lost.

This room knows numpy, torch and safetensors, and nothing of networks or runs.
"""
