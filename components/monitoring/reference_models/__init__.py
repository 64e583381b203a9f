"""Cheap honest models that a model is compared with, row by row: losses, and rows for both."""
