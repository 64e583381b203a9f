"""What the Edge TPU compiler maps, operator by operator, and who says so."""
