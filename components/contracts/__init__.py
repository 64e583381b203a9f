"""The content of every artifact that one node writes and another reads, with its JSON."""
