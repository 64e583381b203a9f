"""The window profile unchanged on a Spark cluster, and from how many rows that pays."""
