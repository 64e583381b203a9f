"""Membership inference: what a row's loss tells of whether the model was trained on it."""
