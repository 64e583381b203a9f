"""Whole pipelines, and what drives them."""
