"""Rows as they lie on disk: the prediction log, tables of any format, spans of examples."""
