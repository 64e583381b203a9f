"""Metrics, their losses against a parent, and the budget that limits them."""
