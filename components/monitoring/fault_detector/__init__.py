"""Faults of a training: over-fitting, under-fitting, and leakage."""
