"""Faults of the data, apart from drift."""
