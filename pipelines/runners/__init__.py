"""What runs pipelines: in this process, with a model server beside it."""
