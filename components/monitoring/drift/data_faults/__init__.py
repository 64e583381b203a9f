"""What is broken in the data, apart from drift."""
