"""Whether chance explains a difference, and how large it is."""
