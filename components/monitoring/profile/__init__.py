"""Columns as exact counts on bins that were frozen at training time."""
