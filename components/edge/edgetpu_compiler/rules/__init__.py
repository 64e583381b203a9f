"""Rules of the Edge TPU compiler, operator by operator, each with its source."""
