"""Signatures of model files in the format of OpenSSF Model Signing: made, and checked."""
