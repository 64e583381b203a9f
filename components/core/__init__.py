"""Errors, artifacts, storage, JSON and child processes: what every other room stands on."""
