"""A compiled pipeline in the built image, run by the official kfp.local."""
