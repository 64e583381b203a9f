"""Runners of pipelines: this process, with a model server beside it, and services."""
