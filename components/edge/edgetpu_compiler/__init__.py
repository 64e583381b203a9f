"""Knows what of a model maps to the Edge TPU, and compiles it where the compiler is."""
