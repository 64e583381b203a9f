"""The worked example for small devices: real images of digits, from training to the Edge TPU."""
