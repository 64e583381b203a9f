"""References of the nodes, written from their declarations: a page, and types for editors."""
