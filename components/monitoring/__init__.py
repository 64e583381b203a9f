"""Profiles, drift, skew, quality, and the decision to retrain."""
