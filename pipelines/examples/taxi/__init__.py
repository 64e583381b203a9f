"""A stock TFX pipeline, as somebody may have it before tfx-loop: the README adds to it."""
