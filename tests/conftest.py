"""Puts `tests/` on the path, so that tests share their recorders and drivers."""
