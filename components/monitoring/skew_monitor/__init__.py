"""Training-serving skew: what the server saw against what training saw, for the same rows."""
