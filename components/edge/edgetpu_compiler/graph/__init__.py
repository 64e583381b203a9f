"""A TensorFlow Lite graph as the Edge TPU compiler cuts it, and what it wrote into one."""
