"""What devices get: a bundle of models, how it is published, and how a device uses it."""
