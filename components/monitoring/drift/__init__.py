"""Drift of a window against a reference: statistics, verdicts, reports."""
