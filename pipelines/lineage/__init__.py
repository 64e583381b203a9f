"""Lineage of models: why each exists, and what came of it. ML Metadata is read alone."""
