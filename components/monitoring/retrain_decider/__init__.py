"""Decisions to retrain: the measurement, the policy, and the TFX node around them."""
