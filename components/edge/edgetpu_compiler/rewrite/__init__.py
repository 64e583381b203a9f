"""Exact changes to a .tflite file that make more of it map."""
