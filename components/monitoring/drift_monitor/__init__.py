"""The DriftMonitor node: a window of the prediction log against the model's reference."""
