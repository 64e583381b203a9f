"""Plots of an optimisation report, one a module."""
