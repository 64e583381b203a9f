"""A stock TFX pipeline, as somebody may have it before tfx-loop: the tutorial adds to it."""
