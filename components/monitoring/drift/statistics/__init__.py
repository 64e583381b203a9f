"""Tests of a difference against chance, and its effect sizes."""
