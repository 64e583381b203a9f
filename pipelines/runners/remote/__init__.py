"""Pipelines on Kubeflow Pipelines and Vertex AI: compiled, checked, and run in containers."""
