"""Two files compared without a pipeline or a model."""
