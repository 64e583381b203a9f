"""Pruner: zeros and shared values among the weights of a network that is trained meanwhile."""
