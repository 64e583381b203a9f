"""Logs of other servers, brought into the prediction log."""
