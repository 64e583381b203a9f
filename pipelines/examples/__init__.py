"""Worked examples: flights, digits, taxi trips."""
