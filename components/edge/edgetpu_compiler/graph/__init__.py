"""A TensorFlow Lite graph: operators, tensors, constants, and its partitions."""
