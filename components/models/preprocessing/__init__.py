"""Models that take tf.Examples, divided into their preprocessing and the network behind it."""
