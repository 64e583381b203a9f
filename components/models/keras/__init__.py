"""Keras files (.keras, .h5): checked before they are loaded, and opened for prediction."""
