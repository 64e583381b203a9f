"""What pages and commands print with: documents, plots as inline SVG, tables and progress."""
