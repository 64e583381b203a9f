"""Quantizer: the smallest (or fastest) quantised form of a model within a stated budget."""
