"""An optimization report as a page and in the terminal, and the measurements in it."""
