"""Bundles of models for devices: made, published, and used on the device."""
