"""Leakage of labels or held-out rows into a training, a kind a module."""
