"""The TFX node that freezes what a model was trained on."""
