"""TensorFlow Lite files: the one reader, and names of layers."""
