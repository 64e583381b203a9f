"""Rows of data as models take them: fitted to the inputs, divided by use, stored as arrays."""
