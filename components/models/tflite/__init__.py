"""TensorFlow Lite files: the one reader, names of layers, and opened for prediction."""
