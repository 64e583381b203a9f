"""Edge TPU: what maps, exact preparation, the compiler, and bundles for devices."""
