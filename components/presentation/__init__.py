"""What every page of tfx-loop is made of: a document of one file, and plots as inline SVG."""
