"""Presentation by pages and commands: documents, plots as inline SVG, tables and progress."""
