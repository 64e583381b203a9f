"""A gateway in front of TF Serving: passes bytes on, logs answered calls, routes canaries."""
